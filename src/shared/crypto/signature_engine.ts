import type { KeyAlgorithm } from "./key_algorithm.ts";
import type { SignatureScheme } from "./signature_scheme.ts";

/** A signature and what it is over. */
export interface SignatureToVerify {
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly scheme: SignatureScheme;
  /** As certificates carry it: ECDSA's is a SEQUENCE of two numbers (RFC 3279, 2.2.3). */
  readonly signature: Uint8Array;
  readonly bytes: Uint8Array;
}

/** Makes and verifies signatures in the forms that certificates carry. */
export interface SignatureEngine {
  /** Signs with an extractable private key, with the hash that is as strong as the key. */
  sign(key: CryptoKey, algorithm: KeyAlgorithm, bytes: Uint8Array): Promise<Uint8Array>;
  /** Whether a signature is good; false too for keys and schemes that the engine does not know. */
  verify(signed: SignatureToVerify): Promise<boolean>;
}
