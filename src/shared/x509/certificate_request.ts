import { isByteAlignedBitString, readSequence } from "../crypto/der_reader.ts";
import { isVersionNumber } from "./extensions.ts";
import { derBitString, derSequence, element, encodeDer } from "../crypto/der_writer.ts";
import { exportPublicKey, importPublicKey } from "../crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../crypto/key_algorithm.ts";
import { recognizePublicKey } from "../crypto/public_key.ts";
import type { SignatureEngine, SignatureToVerify } from "../crypto/signature_engine.ts";
import { readSignatureScheme, signatureAlgorithm } from "../crypto/signature_scheme.ts";
import { webCryptoEngine } from "../crypto/web_crypto_engine.ts";

/** An RSA-4096 request with a few extensions takes 2 KiB. */
const maxRequestBytes = 8 * 1024;

type Refused = { kind: "refused"; problem: string };

/** A PKCS #10 request (RFC 2986) as DER; it proves possession of the key and asks for no name. */
export async function createCertificateRequest(
  { publicKey, privateKey }: CryptoKeyPair,
  engine: SignatureEngine = webCryptoEngine,
): Promise<Uint8Array> {
  const spki = await exportPublicKey(publicKey);
  const algorithm = recognizePublicKey(spki);
  if (algorithm === undefined) throw new TypeError("the key is of a kind that is not signed for");
  const signed = encodeDer(derSequence(version1, derSequence(), spki, element(0xa0)));
  const signature = await engine.sign(privateKey, algorithm, signed);
  return encodeDer(derSequence(signed, signatureAlgorithm(algorithm), derBitString(signature)));
}

const version1 = Uint8Array.of(0x02, 0x01, 0x00);

/**
 * The key that a PKCS #10 request (RFC 2986) proves possession of, as DER, which is all that certifying
 * it needs; the request's names are not read.
 */
export async function parseCertificateRequest(
  der: Uint8Array,
  engine: SignatureEngine = webCryptoEngine,
): Promise<{ kind: "request"; spki: Uint8Array; algorithm: KeyAlgorithm } | Refused> {
  if (der.length > maxRequestBytes) {
    return refused(`has ${der.length} bytes; at most ${maxRequestBytes} are accepted`);
  }
  const request = readRequest(der);
  if (request === undefined) return refused("is not a PKCS #10 request in DER (RFC 2986)");
  const key = await usualForm(request.spki);
  if (key.kind === "refused") return refused(`cannot be signed: ${key.problem}`);
  const scheme = readSignatureScheme(request.algorithm);
  if (scheme === undefined || !await engine.verify({ ...request, scheme })) {
    return refused("does not bear a good signature by its own key");
  }
  return { kind: "request", spki: key.spki, algorithm: key.algorithm };
}

/** A key in the form that we certify; to bring others into it, and to say what is wrong, takes longer. */
async function usualForm(
  spki: Uint8Array,
): Promise<{ kind: "key"; spki: Uint8Array; algorithm: KeyAlgorithm } | Refused> {
  const algorithm = recognizePublicKey(spki);
  if (algorithm !== undefined) return { kind: "key", spki, algorithm };
  const key = await importPublicKey(spki);
  if (key.kind === "refused") return key;
  return { kind: "key", spki: await exportPublicKey(key.publicKey), algorithm: key.algorithm };
}

function readRequest(
  der: Uint8Array,
): Omit<SignatureToVerify, "scheme"> & { algorithm: Uint8Array } | undefined {
  const [signed, algorithm, signature, ...rest] = readSequence(der) ?? [];
  if (!signed || algorithm?.tag !== 0x30 || !isByteAlignedBitString(signature) || rest.length > 0) {
    return undefined;
  }
  const [version, subject, spki, attributes, ...more] = readSequence(signed.whole) ?? [];
  if (!isVersionNumber(version) || subject?.tag !== 0x30 || spki?.tag !== 0x30) return undefined;
  if (attributes?.tag !== 0xa0 || more.length > 0) return undefined;
  return {
    bytes: signed.whole,
    spki: spki.whole,
    algorithm: algorithm.whole,
    signature: signature.content.subarray(1),
  };
}

function refused(problem: string): Refused {
  return { kind: "refused", problem: `the certificate request ${problem}` };
}
