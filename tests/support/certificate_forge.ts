import { type Certificate, readCertificate } from "../../src/shared/x509/certificate.ts";
import {
  exportPrivateKey,
  generateKeyPair,
  signatureParameters,
} from "../../src/shared/crypto/key_pairs.ts";
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  type Extension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "../../src/service/x509/peculiar_x509.ts";
import { encodePem } from "../../src/shared/crypto/pem.ts";

/** The instant of all tests here; what `forge` makes is valid for a day around it. */
export const now = Temporal.Instant.from("2026-03-01T12:00:00Z");

export interface Forged {
  readonly certificate: Certificate;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly keys: CryptoKeyPair;
}

export interface Forging {
  readonly commonName?: string;
  /** Left out: signed by itself. */
  readonly issuer?: Forged;
  /** "none" leaves basicConstraints out. */
  readonly ca?: boolean | "none";
  readonly pathLength?: number;
  readonly keyUsage?: number | "none";
  /** Hexadecimal. */
  readonly subjectKeyIdentifier?: string;
  readonly authorityKeyIdentifier?: string;
  readonly notBefore?: Temporal.Instant;
  readonly notAfter?: Temporal.Instant;
  readonly keys?: CryptoKeyPair;
  readonly hash?: string;
  readonly extensions?: readonly Extension[];
}

/** A certificate of any kind, right or wrong, on a P-256 key; by default a proper CA's. */
export async function forge(forging: Forging = {}): Promise<Forged> {
  const keys = forging.keys ?? await generateKeyPair("ecdsa-p256");
  const { ca = true, keyUsage = KeyUsageFlags.keyCertSign, pathLength } = forging;
  const extensions = [...forging.extensions ?? []];
  if (ca !== "none") extensions.push(new BasicConstraintsExtension(ca, pathLength, true));
  if (keyUsage !== "none") extensions.push(new KeyUsagesExtension(keyUsage, true));
  const { subjectKeyIdentifier, authorityKeyIdentifier } = forging;
  if (subjectKeyIdentifier !== undefined) {
    extensions.push(new SubjectKeyIdentifierExtension(subjectKeyIdentifier));
  }
  if (authorityKeyIdentifier !== undefined) {
    extensions.push(new AuthorityKeyIdentifierExtension(authorityKeyIdentifier));
  }
  const nameOf = (commonName: string) => new Name([{ CN: [{ utf8String: commonName }] }]);
  const commonName = forging.commonName ?? "Test CA";
  const signingAlgorithm = signatureParameters("ecdsa-p256");
  const { rawData } = await X509CertificateGenerator.create({
    subject: nameOf(commonName),
    issuer: nameOf(forging.issuer?.certificate.commonName ?? commonName),
    notBefore: date(forging.notBefore ?? now.subtract({ hours: 12 })),
    notAfter: date(forging.notAfter ?? now.add({ hours: 12 })),
    publicKey: keys.publicKey,
    signingKey: (forging.issuer?.keys ?? keys).privateKey,
    signingAlgorithm: { ...signingAlgorithm, hash: forging.hash ?? "SHA-256" },
    extensions,
  });
  const der = new Uint8Array(rawData);
  const certificate = readCertificate(der);
  if (certificate === undefined) throw new Error("forged something that cannot be read");
  return {
    certificate,
    certificatePem: encodePem("CERTIFICATE", der),
    privateKeyPem: await exportPrivateKey(keys.privateKey),
    keys,
  };
}

function date(instant: Temporal.Instant): Date {
  return new Date(instant.epochMilliseconds);
}
