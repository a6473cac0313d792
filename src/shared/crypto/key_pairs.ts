/**
 * This folder creates and reads keys, makes and verifies signatures, and reads and writes their
 * encodings, DER and PEM. Its main types are `KeyAlgorithm`, `SignatureEngine`, `DerElement` (read)
 * and `DerNode` (to be written). It never interprets a certificate, does no I/O and does not log.
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import { readEcPrivateKey } from "./ec_private_key.ts";
import { type KeyAlgorithm, keyAlgorithms } from "./key_algorithm.ts";
import { decodePem, describePem, encodePem } from "./pem.ts";
import { recognizePublicKey } from "./public_key.ts";

type Refused = { kind: "refused"; problem: string };

const accepted = "accepted are ECDSA P-256 and P-384, Ed25519, and RSA of 2048, 3072 or 4096 " +
  "bits with the exponent 65537";

/** WebCrypto's name for keys that sign certificates; RSA signs with PKCS #1 v1.5 and SHA-256. */
function importParameters(algorithm: KeyAlgorithm): EcKeyImportParams | RsaHashedImportParams {
  switch (algorithm) {
    case "ecdsa-p256":
      return { name: "ECDSA", namedCurve: "P-256" };
    case "ecdsa-p384":
      return { name: "ECDSA", namedCurve: "P-384" };
    case "ed25519":
      return { name: "Ed25519" } as EcKeyImportParams;
    default:
      return { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  }
}

/** How a key of this kind signs: with the hash that is as strong as the key. */
export function signatureParameters(algorithm: KeyAlgorithm): { name: string; hash?: string } {
  const { name } = importParameters(algorithm);
  if (algorithm === "ed25519") return { name };
  return { name, hash: algorithm === "ecdsa-p384" ? "SHA-384" : "SHA-256" };
}

/** A new extractable key pair for signatures; an RSA one of 4096 bits takes seconds. */
export async function generateKeyPair(algorithm: KeyAlgorithm): Promise<CryptoKeyPair> {
  const parameters = importParameters(algorithm);
  const [, bits] = algorithm.split("rsa-");
  const sized = bits === undefined ? parameters : {
    ...parameters,
    modulusLength: Number(bits),
    publicExponent: Uint8Array.of(1, 0, 1),
  };
  const keys = await crypto.subtle.generateKey(sized, true, ["sign", "verify"]) as CryptoKeyPair;
  if (algorithm.startsWith("ecdsa")) {
    const pkcs8 = await crypto.subtle.exportKey("pkcs8", keys.privateKey);
    const spki = readEcPrivateKey(new Uint8Array(pkcs8))?.spki;
    if (spki) knownSpki.set(keys.publicKey, spki);
  }
  return keys;
}

/** The private key as PKCS #8 PEM (RFC 5958). */
export async function exportPrivateKey(key: CryptoKey): Promise<string> {
  return encodePem("PRIVATE KEY", new Uint8Array(await crypto.subtle.exportKey("pkcs8", key)));
}

/**
 * The SubjectPublicKeyInfo of keys that are known. Deno takes 0.59 ms to export the public key of a P-256
 * pair, and 0.09 ms to export the private key, from which it can be read.
 */
const knownSpki = new WeakMap<CryptoKey, Uint8Array>();

/** The SubjectPublicKeyInfo (RFC 5280, 4.1.2.7) of a public key; not to be written to. */
export async function exportPublicKey(key: CryptoKey): Promise<Uint8Array> {
  const known = knownSpki.get(key);
  if (known) return known;
  const spki = new Uint8Array(await crypto.subtle.exportKey("spki", key));
  knownSpki.set(key, spki);
  return spki;
}

/** The key pair of a PEM private key: PKCS #8 (RFC 5958), PKCS #1 (RFC 8017) or SEC 1 (RFC 5915). */
export async function importPrivateKey(
  pem: string,
): Promise<{ kind: "key"; keyPair: CryptoKeyPair; algorithm: KeyAlgorithm } | Refused> {
  const read = readPrivateKey(pem);
  if (read.kind === "refused") return read;
  const { key } = read;
  const recognized = recognize(key);
  if (recognized.kind === "refused") return recognized;
  const { algorithm } = recognized;
  const parameters = importParameters(algorithm);
  try {
    const pkcs8 = key.export({ format: "der", type: "pkcs8" });
    const spki = createPublicKey(key).export({ format: "der", type: "spki" });
    const [privateKey, publicKey] = await Promise.all([
      crypto.subtle.importKey("pkcs8", new Uint8Array(pkcs8), parameters, true, ["sign"]),
      crypto.subtle.importKey("spki", new Uint8Array(spki), parameters, true, ["verify"]),
    ]);
    return { kind: "key", keyPair: { privateKey, publicKey }, algorithm };
  } catch {
    return unreadable();
  }
}

/** The public key of a DER SubjectPublicKeyInfo, if it is of a kind and size that we sign for. */
export async function importPublicKey(
  spki: Uint8Array,
): Promise<{ kind: "key"; publicKey: CryptoKey; algorithm: KeyAlgorithm } | Refused> {
  const own = new Uint8Array(spki);
  const known = recognizePublicKey(own);
  try {
    const recognized = known === undefined
      ? recognize(createPublicKey({ key: Buffer.from(own), format: "der", type: "spki" }))
      : { kind: "recognized" as const, algorithm: known };
    if (recognized.kind === "refused") return recognized;
    const { algorithm } = recognized;
    const parameters = importParameters(algorithm);
    const publicKey = await crypto.subtle.importKey("spki", own, parameters, true, ["verify"]);
    // In its one form already, so that exporting would return the same.
    if (known !== undefined) knownSpki.set(publicKey, own);
    return { kind: "key", publicKey, algorithm };
  } catch {
    return refused(`the public key is broken or of another kind; ${accepted}`);
  }
}

/** The DER SubjectPublicKeyInfo that belongs to a PEM private key, or undefined for no such key. */
export async function derivePublicKey(pem: string): Promise<Uint8Array | undefined> {
  const read = readPrivateKey(pem);
  if (read.kind === "refused" || recognize(read.key).kind === "refused") return undefined;
  // Reading it has held the enclosed key against the private number.
  const enclosed = read.type === "pkcs8" ? readEcPrivateKey(read.der)?.spki : undefined;
  if (enclosed && recognizePublicKey(enclosed)) return await Promise.resolve(enclosed);
  const imported = await importPrivateKey(pem);
  return imported.kind === "key" ? await exportPublicKey(imported.keyPair.publicKey) : undefined;
}

/** The public key that stands beside an EC key in PKCS #8, unproven; undefined where none does. */
export function embeddedPublicKey(pem: string): Uint8Array | undefined {
  const [der] = decodePem("PRIVATE KEY", pem);
  const enclosed = der && readEcPrivateKey(der)?.spki;
  return enclosed && recognizePublicKey(enclosed) ? enclosed : undefined;
}

const containers = new Map(
  [["PRIVATE KEY", "pkcs8"], ["RSA PRIVATE KEY", "pkcs1"], ["EC PRIVATE KEY", "sec1"]] as const,
);

interface ReadKey {
  readonly kind: "read";
  readonly key: KeyObject;
  readonly der: Uint8Array;
  readonly type: "pkcs8" | "pkcs1" | "sec1";
}

function readPrivateKey(pem: string): ReadKey | Refused {
  if (
    decodePem("ENCRYPTED PRIVATE KEY", pem).length > 0 || /^Proc-Type: *4, *ENCRYPTED/m.test(pem)
  ) {
    return refused(
      "the private key is encrypted; decrypt it with `openssl pkey -in KEY -out PLAIN_KEY`",
    );
  }
  const found = [...containers].flatMap(([label, type]) =>
    decodePem(label, pem).map((der) => ({ der, type }))
  );
  const [only] = found;
  if (only === undefined || found.length > 1) {
    return refused(
      "expected one PEM block PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY, but found " +
        describePem(pem),
    );
  }
  try {
    const { der, type } = only;
    const key = createPrivateKey({ key: Buffer.from(der), format: "der", type });
    return { kind: "read", key, der, type };
  } catch {
    return hasExplicitParameters(only.der)
      ? refused(
        "the EC private key spells its curve out; write it with the curve's name: " +
          "`openssl ec -in KEY -param_enc named_curve -out NAMED_KEY`",
      )
      : unreadable();
  }
}

function recognize(key: KeyObject): { kind: "recognized"; algorithm: KeyAlgorithm } | Refused {
  const { namedCurve, modulusLength, publicExponent } = key.asymmetricKeyDetails ?? {};
  switch (key.asymmetricKeyType) {
    case "ed25519":
      return { kind: "recognized", algorithm: "ed25519" };
    case "ec":
      if (namedCurve === "prime256v1") return { kind: "recognized", algorithm: "ecdsa-p256" };
      if (namedCurve === "secp384r1") return { kind: "recognized", algorithm: "ecdsa-p384" };
      return refused(`the key is ECDSA on the curve ${namedCurve}; ${accepted}`);
    case "rsa": {
      const algorithm = keyAlgorithms.find((name) => name === `rsa-${modulusLength}`);
      if (algorithm && publicExponent === 65537n) return { kind: "recognized", algorithm };
      const exponent = String(publicExponent).slice(0, 20);
      return refused(
        `the key is RSA of ${modulusLength} bits with the exponent ${exponent}; ${accepted}`,
      );
    }
    case "rsa-pss":
      return refused(
        `the key is bound to RSA-PSS, which many TLS clients do not take; ${accepted}`,
      );
    default:
      return refused(`the key is of the type ${key.asymmetricKeyType}; ${accepted}`);
  }
}

/** The object identifier prime-field (RFC 3279, 2.3.5), which only explicit parameters hold. */
const primeField = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x01, 0x01];

function hasExplicitParameters(der: Uint8Array): boolean {
  return der.some((_, start) => primeField.every((byte, index) => der[start + index] === byte));
}

function unreadable(): Refused {
  return refused(`the private key is broken or of another kind; ${accepted}`);
}

function refused(problem: string): Refused {
  return { kind: "refused", problem };
}
