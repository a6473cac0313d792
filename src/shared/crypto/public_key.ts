import { type DerElement, equalBytes, isByteAlignedBitString, readSequence } from "./der_reader.ts";
import { readObjectIdentifier, readUnsigned } from "./der_values.ts";
import type { KeyAlgorithm } from "./key_algorithm.ts";

/** A SubjectPublicKeyInfo (RFC 5280, 4.1.2.7), in parts. */
export interface PublicKeyParts {
  readonly kind: "ec" | "rsa" | "ed25519";
  /** Of an EC key: the identifier of its curve. */
  readonly curve: string | undefined;
  /** The BIT STRING's bytes: a point, an RSAPublicKey, or an Ed25519 key. */
  readonly key: Uint8Array;
}

export const curves = {
  "P-256": "1.2.840.10045.3.1.7",
  "P-384": "1.3.132.0.34",
  "P-521": "1.3.132.0.35",
} as const;

const kinds: Readonly<Record<string, PublicKeyParts["kind"]>> = {
  "1.2.840.10045.2.1": "ec",
  "1.2.840.113549.1.1.1": "rsa",
  "1.3.101.112": "ed25519",
};

/** The parts of a public key's DER; undefined for other kinds and forms. */
export function readPublicKey(spki: Uint8Array): PublicKeyParts | undefined {
  const [algorithm, bits, ...rest] = readSequence(spki) ?? [];
  if (algorithm === undefined) return undefined;
  const [typeElement, parameters, ...more] = readSequence(algorithm.whole) ?? [];
  const type = readObjectIdentifier(typeElement) ?? "";
  if (
    rest.length + more.length > 0 || !isByteAlignedBitString(bits) || !Object.hasOwn(kinds, type)
  ) {
    return undefined;
  }
  const kind = kinds[type];
  const key = bits.content.subarray(1);
  if (kind === "ec") {
    const curve = readObjectIdentifier(parameters);
    return curve === undefined ? undefined : { kind, curve, key };
  }
  if (kind === "rsa" && !isNull(parameters)) return undefined;
  if (kind === "ed25519" && parameters !== undefined) return undefined;
  return kind && { kind, curve: undefined, key };
}

/**
 * The kind of a key that we sign for, in the only encoding that such a key has in DER with its point
 * uncompressed; undefined for all others, which may be good keys all the same. Whether a point lies
 * on its curve shows when the key is used.
 */
export function recognizePublicKey(spki: Uint8Array): KeyAlgorithm | undefined {
  const parts = readPublicKey(spki);
  if (parts === undefined) return undefined;
  const { kind, curve, key } = parts;
  if (kind === "ed25519") return key.length === 32 ? "ed25519" : undefined;
  if (kind === "ec") {
    if (key[0] !== 0x04) return undefined;
    if (curve === curves["P-256"] && key.length === 65) return "ecdsa-p256";
    return curve === curves["P-384"] && key.length === 97 ? "ecdsa-p384" : undefined;
  }
  const [modulus, exponent, ...rest] = readSequence(key) ?? [];
  if (rest.length > 0 || !isUsualExponent(exponent)) return undefined;
  switch (bitsOf(readUnsigned(modulus))) {
    case 2048:
      return "rsa-2048";
    case 3072:
      return "rsa-3072";
    case 4096:
      return "rsa-4096";
  }
}

function bitsOf(bytes: Uint8Array | undefined): number {
  if (bytes === undefined) return 0;
  return bytes.length * 8 - (Math.clz32(bytes[0] ?? 0) - 24);
}

function isUsualExponent(element: DerElement | undefined): boolean {
  return element !== undefined && equalBytes(element.whole, usualExponent);
}

function isNull(element: DerElement | undefined): boolean {
  return element?.tag === 0x05 && element.content.length === 0;
}

/** 65537. */
const usualExponent = Uint8Array.of(0x02, 0x03, 0x01, 0x00, 0x01);
