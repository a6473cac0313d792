import { equalBytes, readElements, readSequence } from "./der_reader.ts";
import { readObjectIdentifier, readUnsigned } from "./der_values.ts";
import { derObjectIdentifier, derSequence, encodeDer } from "./der_writer.ts";
import type { KeyAlgorithm } from "./key_algorithm.ts";

type Hash = "SHA-1" | "SHA-256" | "SHA-384" | "SHA-512";

/** How a signature is made, as an AlgorithmIdentifier states it; the key's own kind is not in it. */
export type SignatureScheme =
  | { readonly name: "ECDSA" | "RSASSA-PKCS1-v1_5"; readonly hash: Hash }
  | { readonly name: "RSA-PSS"; readonly hash: Hash; readonly saltLength: number }
  | { readonly name: "Ed25519"; readonly hash: undefined };

const nothing = Uint8Array.of(0x05, 0x00);

/** Schemes without parameters of their own, by type; RFC 4055, 5758 and 8410. */
const schemes: Readonly<Record<string, SignatureScheme>> = {
  "1.2.840.10045.4.1": { name: "ECDSA", hash: "SHA-1" },
  "1.2.840.10045.4.3.2": { name: "ECDSA", hash: "SHA-256" },
  "1.2.840.10045.4.3.3": { name: "ECDSA", hash: "SHA-384" },
  "1.2.840.10045.4.3.4": { name: "ECDSA", hash: "SHA-512" },
  "1.2.840.113549.1.1.5": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-1" },
  "1.2.840.113549.1.1.11": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
  "1.2.840.113549.1.1.12": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-384" },
  "1.2.840.113549.1.1.13": { name: "RSASSA-PKCS1-v1_5", hash: "SHA-512" },
  "1.3.101.112": { name: "Ed25519", hash: undefined },
};

const pss = "1.2.840.113549.1.1.10";

const hashes: Readonly<Record<string, Hash>> = {
  "1.3.14.3.2.26": "SHA-1",
  "2.16.840.1.101.3.4.2.1": "SHA-256",
  "2.16.840.1.101.3.4.2.2": "SHA-384",
  "2.16.840.1.101.3.4.2.3": "SHA-512",
};

/** The scheme of an AlgorithmIdentifier's DER, or undefined for one that is unknown here. */
export function readSignatureScheme(der: Uint8Array): SignatureScheme | undefined {
  const [typeElement, parameters, ...rest] = readSequence(der) ?? [];
  const type = readObjectIdentifier(typeElement);
  if (type === undefined || rest.length > 0) return undefined;
  if (type === pss) return parameters && readPss(parameters.whole);
  if (parameters !== undefined && !equalBytes(parameters.whole, nothing)) return undefined;
  return Object.hasOwn(schemes, type) ? schemes[type] : undefined;
}

/** RSASSA-PSS-params (RFC 4055, 3.1) with one hash throughout, as WebCrypto has it. */
function readPss(der: Uint8Array): SignatureScheme | undefined {
  const fields = new Map((readSequence(der) ?? []).map(({ tag, content }) => [tag, content]));
  const hash = fields.has(0xa0) ? readHash(fields.get(0xa0)) : "SHA-1";
  const [generator] = readElements(fields.get(0xa1) ?? new Uint8Array()) ?? [];
  const [, generatorHash] = readSequence(generator?.whole ?? new Uint8Array()) ?? [];
  const maskHash = fields.has(0xa1) ? readHash(generatorHash?.whole) : "SHA-1";
  const [salt] = readElements(fields.get(0xa2) ?? new Uint8Array()) ?? [];
  const bytes = fields.has(0xa2) ? readUnsigned(salt) : Uint8Array.of(20);
  if (hash === undefined || hash !== maskHash || bytes === undefined || bytes.length > 2) {
    return undefined;
  }
  const saltLength = bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  return { name: "RSA-PSS", hash, saltLength };
}

function readHash(algorithm: Uint8Array | undefined): Hash | undefined {
  const [typeElement] = readSequence(algorithm ?? new Uint8Array()) ?? [];
  const type = readObjectIdentifier(typeElement) ?? "";
  return Object.hasOwn(hashes, type) ? hashes[type] : undefined;
}

const written = {
  ecdsa256: encodeDer(derSequence(derObjectIdentifier("1.2.840.10045.4.3.2"))),
  ecdsa384: encodeDer(derSequence(derObjectIdentifier("1.2.840.10045.4.3.3"))),
  ed25519: encodeDer(derSequence(derObjectIdentifier("1.3.101.112"))),
  rsa256: encodeDer(derSequence(derObjectIdentifier("1.2.840.113549.1.1.11"), nothing)),
};

/** The AlgorithmIdentifier of what keys of this kind sign, as `signatureParameters` has it. */
export function signatureAlgorithm(algorithm: KeyAlgorithm): Uint8Array {
  switch (algorithm) {
    case "ecdsa-p256":
      return written.ecdsa256;
    case "ecdsa-p384":
      return written.ecdsa384;
    case "ed25519":
      return written.ed25519;
    default:
      return written.rsa256;
  }
}
