/**
 * This folder reads certificates, verifies chains of them, and creates and parses certificate
 * requests. Its main types are `Certificate`, `DistinguishedName` and `SubjectAlternativeNames`;
 * its main function is `verifyChain`. It never issues a certificate and never decides which CA is
 * trusted. It does no I/O: the caller passes the time in.
 */

import { abbreviate } from "../text/printable_text.ts";
import {
  type DerElement,
  equalBytes,
  isByteAlignedBitString,
  readSequence,
} from "../crypto/der_reader.ts";
import { isInteger, readTime } from "../crypto/der_values.ts";
import {
  attributeValues,
  commonName,
  type DistinguishedName,
  organizationalUnit,
  readName,
} from "./distinguished_name.ts";
import {
  type Extension,
  extensionTypes,
  readAuthorityKeyIdentifier,
  readBasicConstraints,
  readExtensions,
  readKeyIdentifier,
  readKeyUsage,
} from "./extensions.ts";
import { readSubjectAlternativeNames } from "./subject_alternative_names.ts";
import { decodePem } from "../crypto/pem.ts";

/** What we read of an X.509 certificate (RFC 5280); none of it is verified. */
export interface Certificate {
  readonly der: Uint8Array;
  /** Lower-case hexadecimal, without the byte that only keeps the number positive. */
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
  /** How many CAs may be between this one and a leaf; undefined for any number. */
  readonly pathLength: number | undefined;
  /** RFC 5280's names of the usages; undefined where the extension is absent. */
  readonly keyUsage: string[] | undefined;
  readonly subjectKeyIdentifier: Uint8Array | undefined;
  readonly authorityKeyIdentifier: Uint8Array | undefined;
  /** All extensions by their types, in dotted form. */
  readonly extensions: ReadonlyMap<string, Extension>;
}

/** The certificate that the DER is, to its last byte, or undefined. */
export function readCertificate(der: Uint8Array): Certificate | undefined {
  const fields = readCertificateFields(der);
  if (fields === undefined) return undefined;
  const [subject, issuer] = [readName(fields.subject), readName(fields.issuer)];
  const [from, to, ...more] = (readSequence(fields.validity) ?? []).map(readTime);
  const extensions = fields.extensions === undefined
    ? new Map<string, Extension>()
    : readExtensions(fields.extensions);
  if (!subject || !issuer || !from || !to || !extensions || more.length > 0) return undefined;
  const described = describeExtensions(extensions);
  return described && {
    der,
    serialNumber: withoutSign(fields.serialNumber).toHex(),
    ...describeNames(subject, issuer),
    notBefore: from,
    notAfter: to,
    spki: fields.spki,
    ...described,
    extensions,
  };
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

/** A certificate as messages name it. */
export function describeCertificate(certificate: Certificate): string {
  return `the certificate "${abbreviate(certificate.subject)}"`;
}

/** Fields of a certificate as they are encoded in it, for comparing and copying byte by byte. */
export interface CertificateFields {
  /** The part that is signed. */
  readonly signed: Uint8Array;
  /** The number's own bytes, without tag and length. */
  readonly serialNumber: Uint8Array;
  readonly issuer: Uint8Array;
  readonly validity: Uint8Array;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
  readonly extensions: Uint8Array | undefined;
  readonly algorithm: Uint8Array;
  readonly signature: Uint8Array;
}

/** The fields of a certificate, or undefined if the DER is none (RFC 5280, 4.1). */
export function readCertificateFields(der: Uint8Array): CertificateFields | undefined {
  const [signed, outer, signature, ...rest] = readSequence(der) ?? [];
  if (signed === undefined || !isByteAlignedBitString(signature) || rest.length > 0) {
    return undefined;
  }
  const parts = readSequence(signed.whole) ?? [];
  // Version 1 omits its number.
  const [serialNumber, algorithm, issuer, validity, subject, spki, ...others] =
    parts[0]?.tag === 0xa0 ? parts.slice(1) : parts;
  if (!isInteger(serialNumber)) return undefined;
  const sequences = [outer, algorithm, issuer, validity, subject, spki];
  if (!sequences.every((part) => part?.tag === 0x30)) return undefined;
  if (!algorithm || !outer || !issuer || !validity || !subject || !spki) return undefined;
  // Both algorithms are to be the same (RFC 5280, 4.1.1.2): only one of them is signed.
  if (!equalBytes(algorithm.whole, outer.whole)) return undefined;
  const extensions = extensionsAmong(others);
  if (extensions === false) return undefined;
  return {
    signed: signed.whole,
    serialNumber: serialNumber.content,
    issuer: issuer.whole,
    validity: validity.whole,
    subject: subject.whole,
    spki: spki.whole,
    extensions,
    algorithm: outer.whole,
    signature: signature.content.subarray(1),
  };
}

/** What follows the key: two unique identifiers that are not used, then the extensions; false for other things. */
function extensionsAmong(others: readonly DerElement[]): Uint8Array | undefined | false {
  let previous = 0;
  let extensions: Uint8Array | undefined;
  for (const { tag, content } of others) {
    if (![0x81, 0x82, 0xa3].includes(tag) || tag <= previous) return false;
    if (tag === 0xa3) extensions = content;
    previous = tag;
  }
  return extensions;
}

function withoutSign(bytes: Uint8Array): Uint8Array {
  return bytes.length > 1 && bytes[0] === 0 ? bytes.subarray(1) : bytes;
}

function describeNames(subject: DistinguishedName, issuer: DistinguishedName) {
  return {
    subject: subject.text,
    issuer: issuer.text,
    commonName: attributeValues(subject, commonName)[0],
    organizationalUnits: attributeValues(subject, organizationalUnit),
  };
}

const noNames = { dnsNames: [], ipAddresses: [], uris: [] };
const noConstraints = { isCa: false, pathLength: undefined };

/** The extensions that we read; undefined if one of them is malformed. */
function describeExtensions(extensions: ReadonlyMap<string, Extension>) {
  /** An absent extension means what `absent` states. */
  const read = <T, A>(type: string, reader: (der: Uint8Array) => T | undefined, absent: A) => {
    const extension = extensions.get(type);
    return extension === undefined ? { said: absent } : { said: reader(extension.value) };
  };
  const types = extensionTypes;
  const constraints = read(types.basicConstraints, readBasicConstraints, noConstraints).said;
  const names = read(types.subjectAltName, readSubjectAlternativeNames, noNames).said;
  const keyUsage = read(types.keyUsage, readKeyUsage, false as const).said;
  const own = read(types.subjectKeyIdentifier, readKeyIdentifier, false as const).said;
  const issuers = read(types.authorityKeyIdentifier, readAuthorityKeyIdentifier, false as const)
    .said;
  if (
    constraints === undefined || names === undefined || keyUsage === undefined ||
    own === undefined || issuers === undefined
  ) return undefined;
  return {
    ...constraints,
    ...names,
    keyUsage: keyUsage || undefined,
    subjectKeyIdentifier: own || undefined,
    authorityKeyIdentifier: issuers || undefined,
  };
}
