import { createPrivateKey, createPublicKey } from "node:crypto";
import { readSequence } from "../../shared/crypto/der_reader.ts";
import { readUnsigned } from "../../shared/crypto/der_values.ts";
import {
  derObjectIdentifier,
  derSequence,
  element,
  encodeDer,
} from "../../shared/crypto/der_writer.ts";
import { readEcPrivateKey } from "../../shared/crypto/ec_private_key.ts";
import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { importPrivateKey } from "../../shared/crypto/key_pairs.ts";
import { curves } from "../../shared/crypto/public_key.ts";

/** The inputs of a node CA in addition to the CA's key. */
export interface NodeCaScope {
  readonly trustDomain: string;
  /** The uid of the CA Secret, or CLUSTER_ID, so that one CA key in two clusters gives two node CAs. */
  readonly clusterId: string;
}

/** The key of a node CA: always ECDSA P-256. */
export interface NodeCaKey {
  readonly privateKey: CryptoKey;
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
}

const salt = "csi-cert-driver/node-ca/v1";
/** 128 bits more than the order has, so that the remainder is nearly uniform (FIPS 186-5, A.2.1). */
const derivedBytes = 48;
/** The order n of P-256's group. */
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const numberBytes = 32;

/**
 * Derives the node CA's key from the CA's PEM key. Every replica with the same CA key derives the same
 * node CA key, whatever the encoding of the CA key. Undefined when the PEM has no key that
 * `importPrivateKey` accepts.
 */
export async function deriveNodeCaKey(
  caPrivateKeyPem: string,
  scope: NodeCaScope,
): Promise<NodeCaKey | undefined> {
  const imported = await importPrivateKey(caPrivateKeyPem);
  if (imported.kind === "refused") return undefined;
  const { privateKey } = imported.keyPair;
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  try {
    return await importScalar(await deriveNodeCaScalar(pkcs8, imported.algorithm, scope));
  } finally {
    pkcs8.fill(0);
  }
}

/** The private number of the node CA's key, 32 bytes, from a CA key in PKCS #8. */
export async function deriveNodeCaScalar(
  caPkcs8: Uint8Array,
  algorithm: KeyAlgorithm,
  { trustDomain, clusterId }: NodeCaScope,
): Promise<Uint8Array> {
  const input = lengthPrefixed(...canonicalNumbers(caPkcs8, algorithm));
  const key = await crypto.subtle.importKey("raw", input, "HKDF", false, ["deriveBits"]);
  input.fill(0);
  const parameters = {
    name: "HKDF",
    hash: "SHA-256",
    salt: encoder.encode(salt),
    info: lengthPrefixed(
      ...["ecdsa-p256", trustDomain, clusterId].map((text) => encoder.encode(text)),
    ),
  };
  const derived = new Uint8Array(await crypto.subtle.deriveBits(parameters, key, derivedBytes * 8));
  const scalar = BigInt(`0x${derived.toHex()}`) % (order - 1n) + 1n;
  derived.fill(0);
  return Uint8Array.fromHex(scalar.toString(16).padStart(2 * numberBytes, "0"));
}

/**
 * The key's type and the numbers that define it, in one form for all encodings of the key. The private
 * exponent of an RSA key is left out, because one key can have several.
 */
function canonicalNumbers(pkcs8: Uint8Array, algorithm: KeyAlgorithm): Uint8Array[] {
  switch (algorithm) {
    case "ecdsa-p256":
      return [encoder.encode(algorithm), ecNumber(pkcs8, 32)];
    case "ecdsa-p384":
      return [encoder.encode(algorithm), ecNumber(pkcs8, 48)];
    case "ed25519":
      return [encoder.encode(algorithm), ed25519Seed(pkcs8)];
    default:
      return [encoder.encode("rsa"), ...rsaPrimes(pkcs8)];
  }
}

/** The scalar at the curve's full width. */
function ecNumber(pkcs8: Uint8Array, width: number): Uint8Array {
  const number = readEcPrivateKey(pkcs8)?.scalar;
  if (number === undefined) throw unreadable();
  const significant = withoutLeadingZeros(number);
  if (significant.length > width) throw unreadable();
  const padded = new Uint8Array(width);
  padded.set(significant, width - significant.length);
  return padded;
}

/** RFC 8410, 7: an OCTET STRING inside the one of PKCS #8. */
function ed25519Seed(pkcs8: Uint8Array): Uint8Array {
  const content = enclosedKey(pkcs8);
  if (content.length !== 34 || content[0] !== 0x04 || content[1] !== 32) throw unreadable();
  return content.slice(2);
}

/** RFC 8017, A.1.2: the smaller prime first, each without leading zeros. */
function rsaPrimes(pkcs8: Uint8Array): Uint8Array[] {
  const [, , , , first, second] = readSequence(enclosedKey(pkcs8)) ?? [];
  const primes = [first, second].map(readUnsigned);
  return primes.map((prime) => {
    if (prime === undefined || prime.length === 0) throw unreadable();
    return withoutLeadingZeros(prime).slice();
  }).toSorted(compareNumbers);
}

function enclosedKey(pkcs8: Uint8Array): Uint8Array {
  const [, , key] = readSequence(pkcs8) ?? [];
  if (key?.tag !== 0x04) throw unreadable();
  return key.content;
}

function withoutLeadingZeros(number: Uint8Array): Uint8Array {
  let start = 0;
  while (start < number.length - 1 && number[start] === 0) start++;
  return number.subarray(start);
}

/** Orders numbers without leading zeros. */
function compareNumbers(left: Uint8Array, right: Uint8Array): number {
  if (left.length !== right.length) return left.length - right.length;
  const at = left.findIndex((byte, index) => byte !== right[index]);
  return at < 0 ? 0 : (left[at] ?? 0) - (right[at] ?? 0);
}

/** Joins the parts, each after its length in 4 bytes, so that no two lists give the same bytes. */
function lengthPrefixed(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + 4 + length, 0));
  const view = new DataView(bytes.buffer);
  let at = 0;
  for (const part of parts) {
    view.setUint32(at, part.length);
    bytes.set(part, at + 4);
    at += 4 + part.length;
  }
  return bytes;
}

/** Extractable, because the signature engines export it; it exists in memory only. */
async function importScalar(scalar: Uint8Array): Promise<NodeCaKey> {
  const curve = derObjectIdentifier(curves["P-256"]);
  // RFC 5915 without the public key, which Node.js computes.
  const sec1 = encodeDer(
    derSequence(Uint8Array.of(0x02, 0x01, 0x01), element(0x04, scalar), element(0xa0, curve)),
  );
  const key = createPrivateKey({ key: Buffer.from(sec1), format: "der", type: "sec1" });
  const spki = new Uint8Array(createPublicKey(key).export({ format: "der", type: "spki" }));
  const pkcs8 = new Uint8Array(key.export({ format: "der", type: "pkcs8" }));
  const parameters = { name: "ECDSA", namedCurve: "P-256" };
  const privateKey = await crypto.subtle.importKey("pkcs8", pkcs8, parameters, true, ["sign"]);
  for (const secret of [scalar, sec1, pkcs8]) secret.fill(0);
  return { privateKey, spki };
}

function unreadable(): TypeError {
  return new TypeError("the CA's key is not in the form that PKCS #8 has for its type");
}

const encoder = new TextEncoder();
