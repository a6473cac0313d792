import type { Certificate } from "./certificate.ts";
import type { Issuer } from "./issuer.ts";
import { issuerName } from "./issuer_name.ts";
import { exportPublicKey, signatureParameters } from "./keys.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type Extension,
  type JsonGeneralNames,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "./peculiar.ts";
import { keyIdentifier } from "./key_identifier.ts";

/** The names that a leaf certifies, each checked before. */
export interface LeafNames {
  commonName: string;
  organizationalUnits: string[];
  dnsNames: string[];
  ipAddresses: string[];
  uris: string[];
}

export interface LeafTemplate extends LeafNames {
  publicKey: CryptoKey;
  notBefore: Temporal.Instant;
  notAfter: Temporal.Instant;
  /** Hexadecimal. */
  serialNumber: string;
  extendedKeyUsage: ("serverAuth" | "clientAuth")[];
}

/** The DER of an end-entity certificate (RFC 5280); fractions of seconds are cut off its validity. */
export async function signLeaf(issuer: Issuer, template: LeafTemplate): Promise<Uint8Array> {
  const name = issuerName(issuer.certificate);
  if (name === undefined) throw new TypeError("the issuer was not loaded by loadIssuer");
  const certificate = await X509CertificateGenerator.create({
    serialNumber: template.serialNumber,
    subject: new Name([
      ...template.organizationalUnits.map((unit) => ({ OU: [{ utf8String: unit }] })),
      { CN: [{ utf8String: template.commonName }] },
    ]),
    issuer: name,
    notBefore: new Date(template.notBefore.epochMilliseconds),
    notAfter: new Date(template.notAfter.epochMilliseconds),
    publicKey: template.publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm: signatureParameters(issuer.algorithm),
    extensions: await extensions(issuer.certificate, template),
  });
  return new Uint8Array(certificate.rawData);
}

/** 16 random octets as hexadecimal: positive, and of the same length in every encoding. */
export function randomSerialNumber(): string {
  const octets = new Uint8Array(16);
  do {
    crypto.getRandomValues(octets);
    octets[0] = (octets[0] ?? 0) & 0x7f;
    // A leading zero would be dropped by one encoder and kept by another.
  } while (octets[0] === 0);
  return octets.toHex();
}

async function extensions(issuer: Certificate, template: LeafTemplate): Promise<Extension[]> {
  const isRsa = template.publicKey.algorithm.name.startsWith("RSA");
  const usage = KeyUsageFlags.digitalSignature | (isRsa ? KeyUsageFlags.keyEncipherment : 0);
  const spki = await exportPublicKey(template.publicKey);
  const list: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(usage, true),
    new SubjectKeyIdentifierExtension((await keyIdentifier(spki)).toHex()),
  ];
  if (template.extendedKeyUsage.length > 0) {
    const purposes = template.extendedKeyUsage.map((purpose) => ExtendedKeyUsage[purpose]);
    list.push(new ExtendedKeyUsageExtension(purposes));
  }
  // Verifiers compare it with the issuer's identifier, whatever that was made from.
  if (issuer.subjectKeyIdentifier) {
    list.push(new AuthorityKeyIdentifierExtension(issuer.subjectKeyIdentifier.toHex()));
  }
  const names: JsonGeneralNames = [
    ...template.dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...template.ipAddresses.map((value) => ({ type: "ip" as const, value })),
    ...template.uris.map((value) => ({ type: "url" as const, value })),
  ];
  if (names.length > 0) list.push(new SubjectAlternativeNameExtension(names));
  return list;
}
