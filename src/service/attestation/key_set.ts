import {
  derBitString,
  derObjectIdentifier,
  derSequence,
  derUnsignedInteger,
  encodeDer,
} from "../../shared/crypto/der_writer.ts";
import { curves } from "../../shared/crypto/public_key.ts";
import type { SignatureScheme } from "../../shared/crypto/signature_scheme.ts";

/** A key with which the cluster signs service accounts' tokens. */
export interface TokenKey {
  /** The one algorithm (RFC 7518, 3.1) that it is used with; a token cannot choose another. */
  readonly algorithm: "RS256" | "ES256" | "ES384" | "ES512";
  readonly scheme: SignatureScheme;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** Bytes of each of an ECDSA signature's two numbers. */
  readonly width: number | undefined;
}

export type KeySetResult =
  | { readonly kind: "keys"; readonly keys: ReadonlyMap<string, TokenKey> }
  | { readonly kind: "malformed"; readonly problem: string };

export const maxKeySetBytes = 64 * 1024;
const maxKeys = 32;

/** Reads a JWK set (RFC 7517): its keys by their ids. Keys that no token is signed with are left out. */
export function parseKeySet(text: string): KeySetResult {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return malformed("it is not JSON");
  }
  const list = typeof value === "object" && value !== null && "keys" in value
    ? value.keys
    : undefined;
  if (!Array.isArray(list)) return malformed("it has no list keys");
  if (list.length > maxKeys) return malformed(`it has ${list.length} keys, more than ${maxKeys}`);
  const keys = new Map<string, TokenKey>();
  for (const entry of list) {
    if (typeof entry !== "object" || entry === null) continue;
    const { kid, use = "sig", alg } = entry as Record<string, unknown>;
    const key = use === "sig" ? readKey(entry as Record<string, unknown>) : undefined;
    if (typeof kid !== "string" || kid === "" || key === undefined) continue;
    if (alg !== undefined && alg !== key.algorithm) continue;
    if (keys.has(kid)) return malformed("two of its keys have one id");
    keys.set(kid, key);
  }
  return { kind: "keys", keys };
}

function readKey(jwk: Record<string, unknown>): TokenKey | undefined {
  if (jwk.kty === "RSA") return readRsaKey(jwk);
  return jwk.kty === "EC" ? readEcKey(jwk) : undefined;
}

/** The number of bits of an RSA modulus; verification with a larger one takes long. */
const [minBits, maxBits] = [2_048, 8_192];

function readRsaKey({ n, e }: Record<string, unknown>): TokenKey | undefined {
  const [modulus, exponent] = [n, e].map(decode);
  if (!modulus?.length || !exponent?.length || exponent.length > 4) return undefined;
  const bits = modulus.length * 8 - (Math.clz32(modulus[0] ?? 0) - 24);
  if (modulus[0] === 0 || bits < minBits || bits > maxBits) return undefined;
  const key = encodeDer(derSequence(derUnsignedInteger(modulus), derUnsignedInteger(exponent)));
  return {
    algorithm: "RS256",
    scheme: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
    spki: encodeDer(derSequence(derSequence(rsaEncryption, none), derBitString(key))),
    width: undefined,
  };
}

const ecKinds = {
  "P-256": { algorithm: "ES256", hash: "SHA-256", width: 32 },
  "P-384": { algorithm: "ES384", hash: "SHA-384", width: 48 },
  "P-521": { algorithm: "ES512", hash: "SHA-512", width: 66 },
} as const;

function readEcKey({ crv, x, y }: Record<string, unknown>): TokenKey | undefined {
  if (crv !== "P-256" && crv !== "P-384" && crv !== "P-521") return undefined;
  const { algorithm, hash, width } = ecKinds[crv];
  const [left, right] = [x, y].map(decode);
  if (left?.length !== width || right?.length !== width) return undefined;
  const point = Uint8Array.of(0x04, ...left, ...right);
  const type = derSequence(ecPublicKey, derObjectIdentifier(curves[crv]));
  return {
    algorithm,
    scheme: { name: "ECDSA", hash },
    spki: encodeDer(derSequence(type, derBitString(point))),
    width,
  };
}

/** Converts a JWS signature (RFC 7518, 3.4) to the DER form of X.509; undefined for one of another length. */
export function signatureOf(raw: Uint8Array, { width }: TokenKey): Uint8Array | undefined {
  if (width === undefined) return raw;
  if (raw.length !== 2 * width) return undefined;
  const numbers = [raw.subarray(0, width), raw.subarray(width)].map(derUnsignedInteger);
  return encodeDer(derSequence(...numbers));
}

function decode(text: unknown): Uint8Array | undefined {
  try {
    return typeof text === "string"
      ? Uint8Array.fromBase64(text, { alphabet: "base64url" })
      : undefined;
  } catch {
    return undefined;
  }
}

const rsaEncryption = encodeDer(derObjectIdentifier("1.2.840.113549.1.1.1"));
const ecPublicKey = encodeDer(derObjectIdentifier("1.2.840.10045.2.1"));
const none = Uint8Array.of(0x05, 0x00);

function malformed(problem: string): KeySetResult {
  return { kind: "malformed", problem };
}
