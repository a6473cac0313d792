import {
  derBitString,
  type DerNode,
  derObjectIdentifier,
  type DerPart,
  derSequence,
  derTime,
  derUnsignedInteger,
  element,
  encodeDer,
} from "../../shared/crypto/der_writer.ts";
import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { exportPublicKey } from "../../shared/crypto/key_pairs.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { signatureAlgorithm } from "../../shared/crypto/signature_scheme.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import { readCertificateFields } from "../../shared/x509/certificate.ts";
import { writeName } from "../../shared/x509/distinguished_name.ts";
import { keyPurposes, writeExtension, writeKeyUsage } from "../../shared/x509/extensions.ts";
import { writeSubjectAlternativeNames } from "../../shared/x509/subject_alternative_names.ts";
import type { CertificateNames } from "./certificate_names.ts";
import type { Issuer } from "./issuer.ts";
import { keyIdentifier } from "./key_identifier.ts";

/** A public key in DER, because importing it as a CryptoKey takes as long as the rest of a leaf. */
export interface EncodedPublicKey {
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly algorithm: KeyAlgorithm;
}

export interface LeafTemplate extends CertificateNames {
  publicKey: CryptoKey | EncodedPublicKey;
  notBefore: Temporal.Instant;
  notAfter: Temporal.Instant;
  /** Hexadecimal. */
  serialNumber: string;
  extendedKeyUsage: ("serverAuth" | "clientAuth")[];
}

/** Signs an end-entity certificate (RFC 5280), and returns its DER. Its times are cut to whole seconds. */
export async function signLeaf(
  issuer: Issuer,
  template: LeafTemplate,
  engine: SignatureEngine = webCryptoEngine,
): Promise<Uint8Array> {
  const { algorithm, name, keyIdentifier: own } = constantsOf(issuer);
  const { publicKey } = template;
  const isEncoded = "spki" in publicKey;
  const spki = isEncoded ? publicKey.spki : await exportPublicKey(publicKey);
  const isRsa = /^rsa/i.test(isEncoded ? publicKey.algorithm : publicKey.algorithm.name);
  const signed = encodeDer(derSequence(
    version3,
    derUnsignedInteger(Uint8Array.fromHex(template.serialNumber)),
    algorithm,
    name,
    derSequence(derTime(template.notBefore), derTime(template.notAfter)),
    writeName(template.organizationalUnits, template.commonName),
    spki,
    writeExtensions(
      noCa,
      isRsa ? rsaUsage : otherUsage,
      subjectKeyIdentifier(spki),
      ...purposesOf(template),
      ...own,
      ...alternativeNames(template),
    ),
  ));
  const signature = await engine.sign(issuer.privateKey, issuer.algorithm, signed);
  // RFC 5280, 4.1: the algorithm is repeated outside of the signed part.
  return encodeDer(derSequence(signed, algorithm, derBitString(signature)));
}

/** 16 random bytes in hexadecimal: positive, and of the same length in every encoding. */
export function randomSerialNumber(): string {
  const bytes = new Uint8Array(16);
  do {
    crypto.getRandomValues(bytes);
    bytes[0] = (bytes[0] ?? 0) & 0x7f;
    // Encoders differ in whether they keep a leading zero.
  } while (bytes[0] === 0);
  return bytes.toHex();
}

/** The fields that are the same in all leaves of an issuer, DER. */
interface Constants {
  readonly algorithm: Uint8Array;
  readonly name: Uint8Array;
  /** One extension, or none where the issuer has no identifier. */
  readonly keyIdentifier: readonly Uint8Array[];
}

const constants = new WeakMap<Issuer, Constants>();

function constantsOf(issuer: Issuer): Constants {
  const known = constants.get(issuer);
  if (known) return known;
  const { subjectKeyIdentifier: identifier, der } = issuer.certificate;
  const fields = readCertificateFields(der);
  if (fields === undefined) throw new TypeError("the issuer was not loaded by loadIssuer");
  const made: Constants = {
    algorithm: signatureAlgorithm(issuer.algorithm),
    // The same bytes, because verifiers compare names byte by byte.
    name: fields.subject.slice(),
    // Copied, because verifiers compare it with the issuer's identifier.
    keyIdentifier: identifier === undefined ? [] : [
      encodeDer(writeExtension(
        "authorityKeyIdentifier",
        derSequence(element(0x80, identifier)),
        false,
      )),
    ],
  };
  constants.set(issuer, made);
  return made;
}

/** The last field of the signed part. */
function writeExtensions(...extensions: readonly DerPart[]): DerNode {
  return element(0xa3, derSequence(...extensions));
}

function subjectKeyIdentifier(spki: Uint8Array): DerNode {
  const value = element(0x04, keyIdentifier(spki));
  return writeExtension("subjectKeyIdentifier", value, false);
}

const version3 = encodeDer(element(0xa0, Uint8Array.of(0x02, 0x01, 0x02)));
const noCa = encodeDer(writeExtension("basicConstraints", derSequence(), true));
const otherUsage = encodeDer(writeExtension("keyUsage", writeKeyUsage("digitalSignature"), true));
const rsaUsage = encodeDer(
  writeExtension("keyUsage", writeKeyUsage("digitalSignature", "keyEncipherment"), true),
);
const purposeIdentifiers = {
  serverAuth: encodeDer(derObjectIdentifier(keyPurposes.serverAuth)),
  clientAuth: encodeDer(derObjectIdentifier(keyPurposes.clientAuth)),
};

function purposesOf({ extendedKeyUsage }: LeafTemplate): DerNode[] {
  if (extendedKeyUsage.length === 0) return [];
  const value = derSequence(...extendedKeyUsage.map((purpose) => purposeIdentifiers[purpose]));
  return [writeExtension("extendedKeyUsage", value, false)];
}

function alternativeNames(names: CertificateNames): DerNode[] {
  const { dnsNames, ipAddresses, uris } = names;
  if (dnsNames.length + ipAddresses.length + uris.length === 0) return [];
  return [writeExtension("subjectAltName", writeSubjectAlternativeNames(names), false)];
}
