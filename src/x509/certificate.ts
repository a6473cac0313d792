import { abbreviate } from "./abbreviation.ts";
import { isOctetBits, readSequence, sameOctets } from "./der.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509Certificate,
} from "./peculiar.ts";
import { decodePem } from "./pem.ts";

/** What we read of an X.509 certificate (RFC 5280); nothing here says that it can be trusted. */
export interface Certificate {
  readonly der: Uint8Array;
  /** Lower-case hexadecimal, without the octet that only keeps the number positive. */
  readonly serialNumber: string;
  readonly subject: string;
  readonly issuer: string;
  readonly commonName: string | undefined;
  readonly organizationalUnits: string[];
  readonly dnsNames: string[];
  readonly ipAddresses: string[];
  readonly uris: string[];
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** DER of the SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly isCa: boolean;
  /** RFC 5280's names of the usages; undefined where the extension is absent. */
  readonly keyUsage: string[] | undefined;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly authorityKeyIdentifier: Uint8Array | undefined;
}

/** The certificate that the DER is, to its last octet, or undefined. */
export function readCertificate(der: Uint8Array): Certificate | undefined {
  try {
    const fields = readFields(der);
    if (fields === undefined) return undefined;
    const parsed = new X509Certificate(new Uint8Array(der));
    // One extension twice (RFC 5280, 4.2) would let two readers see two certificates.
    const types = parsed.extensions.map((extension) => extension.type);
    if (new Set(types).size < types.length) return undefined;
    const certificate = describe(der, fields.spki, parsed);
    parsedForms.set(certificate, parsed);
    return certificate;
  } catch {
    return undefined;
  }
}

/** All certificates of a PEM text in their order; undefined if one of them cannot be read. */
export function readCertificates(pem: string): Certificate[] | undefined {
  const certificates: Certificate[] = [];
  for (const der of decodePem("CERTIFICATE", pem)) {
    const certificate = readCertificate(der);
    if (certificate === undefined) return undefined;
    certificates.push(certificate);
  }
  return certificates;
}

/** Parsing takes longer than verifying a signature, and each certificate is looked at many times. */
const parsedForms = new WeakMap<Certificate, X509Certificate>();

/** The library's view of a certificate, parsed once if `readCertificate` made it. */
export function parsedForm(certificate: Certificate): X509Certificate {
  return parsedForms.get(certificate) ?? new X509Certificate(new Uint8Array(certificate.der));
}

/** A certificate as messages name it. */
export function showCertificate(certificate: Certificate): string {
  return `the certificate "${abbreviate(certificate.subject)}"`;
}

/** Fields of a certificate as they stand in it, for comparing and copying octet by octet. */
export interface CertificateFields {
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
}

/** The fields of a certificate, or undefined if the DER is none (RFC 5280, 4.1). */
export function readFields(der: Uint8Array): CertificateFields | undefined {
  const [signed, outer, signature, ...rest] = readSequence(der) ?? [];
  if (signed === undefined || !isOctetBits(signature) || rest.length > 0) return undefined;
  const parts = readSequence(signed.whole) ?? [];
  // Version 1 leaves its number out.
  const [serialNumber, algorithm, issuer, validity, subject, spki] = parts[0]?.tag === 0xa0
    ? parts.slice(1)
    : parts;
  if (serialNumber?.tag !== 0x02) return undefined;
  const sequences = [outer, algorithm, issuer, validity, subject, spki];
  if (!sequences.every((part) => part?.tag === 0x30)) return undefined;
  if (!algorithm || !outer || !issuer || !subject || !spki) return undefined;
  // Both algorithms are to be the same (RFC 5280, 4.1.1.2): only one of them is signed.
  if (!sameOctets(algorithm.whole, outer.whole)) return undefined;
  return { issuer: issuer.whole, subject: subject.whole, spki: spki.whole };
}

const usages = Object.entries(KeyUsageFlags)
  .filter((entry): entry is [string, number] => typeof entry[1] === "number");

function describe(der: Uint8Array, spki: Uint8Array, parsed: X509Certificate): Certificate {
  const keyUsage = parsed.getExtension(KeyUsagesExtension);
  const names = parsed.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
  const namesOf = (type: string) =>
    names.filter((name) => name.type === type).map((name) => name.value);
  return {
    der,
    serialNumber: parsed.serialNumber,
    subject: parsed.subject,
    issuer: parsed.issuer,
    commonName: parsed.subjectName.getField("CN")[0],
    organizationalUnits: parsed.subjectName.getField("OU"),
    dnsNames: namesOf("dns"),
    ipAddresses: namesOf("ip"),
    uris: namesOf("url"),
    notBefore: instant(parsed.notBefore),
    notAfter: instant(parsed.notAfter),
    spki,
    isCa: parsed.getExtension(BasicConstraintsExtension)?.ca ?? false,
    keyUsage: keyUsage
      ? usages.filter(([, flag]) => (keyUsage.usages & flag) !== 0).map(([name]) => name)
      : undefined,
    subjectKeyIdentifier: octets(parsed.getExtension(SubjectKeyIdentifierExtension)?.keyId),
    authorityKeyIdentifier: octets(parsed.getExtension(AuthorityKeyIdentifierExtension)?.keyId),
  };
}

function instant(date: Date): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(date.getTime());
}

function octets(hex: string | undefined): Uint8Array | undefined {
  return hex === undefined ? undefined : Uint8Array.fromHex(hex);
}
