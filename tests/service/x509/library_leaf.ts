import type { Issuer } from "../../../src/service/x509/issuer.ts";
import { signatureParameters } from "../../../src/shared/crypto/key_pairs.ts";
import type { LeafTemplate } from "../../../src/service/x509/leaf_certificate.ts";
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
  X509Certificate,
  X509CertificateGenerator,
} from "../../../src/service/x509/peculiar_x509.ts";

type Template = LeafTemplate & { readonly publicKey: CryptoKey };

/** The leaf that `signLeaf` is to make, made by a library that knows nothing of ours. */
export async function signWithLibrary(
  issuer: Issuer,
  template: Template,
): Promise<X509Certificate> {
  return await X509CertificateGenerator.create({
    serialNumber: template.serialNumber,
    subject: new Name([
      ...template.organizationalUnits.map((unit) => ({ OU: [{ utf8String: unit }] })),
      { CN: [{ utf8String: template.commonName }] },
    ]),
    issuer: new X509Certificate(new Uint8Array(issuer.certificate.der)).subjectName,
    notBefore: new Date(template.notBefore.epochMilliseconds),
    notAfter: new Date(template.notAfter.epochMilliseconds),
    publicKey: template.publicKey,
    signingKey: issuer.privateKey,
    signingAlgorithm: signatureParameters(issuer.algorithm),
    extensions: await extensions(issuer, template),
  });
}

async function extensions(
  { certificate }: Issuer,
  template: Template,
): Promise<Extension[]> {
  const isRsa = template.publicKey.algorithm.name.startsWith("RSA");
  const usage = KeyUsageFlags.digitalSignature | (isRsa ? KeyUsageFlags.keyEncipherment : 0);
  const list: Extension[] = [
    new BasicConstraintsExtension(false, undefined, true),
    new KeyUsagesExtension(usage, true),
    new SubjectKeyIdentifierExtension(await keyIdentifier(template.publicKey)),
  ];
  if (template.extendedKeyUsage.length > 0) {
    const purposes = template.extendedKeyUsage.map((purpose) => ExtendedKeyUsage[purpose]);
    list.push(new ExtendedKeyUsageExtension(purposes));
  }
  if (certificate.subjectKeyIdentifier) {
    list.push(new AuthorityKeyIdentifierExtension(certificate.subjectKeyIdentifier.toHex()));
  }
  const names: JsonGeneralNames = [
    ...template.dnsNames.map((value) => ({ type: "dns" as const, value })),
    ...template.ipAddresses.map((value) => ({ type: "ip" as const, value })),
    ...template.uris.map((value) => ({ type: "url" as const, value })),
  ];
  if (names.length > 0) list.push(new SubjectAlternativeNameExtension(names));
  return list;
}

/** RFC 7093, section 2, method 1, of the key's BIT STRING as the library finds it. */
async function keyIdentifier(key: CryptoKey): Promise<string> {
  const form = key.algorithm.name === "ECDSA" || key.algorithm.name === "Ed25519" ? "raw" : "spki";
  const exported = new Uint8Array(await crypto.subtle.exportKey(form, key));
  // An RSA key's SubjectPublicKeyInfo begins with 24 bytes that are no part of the BIT STRING.
  const bytes = form === "raw" ? exported : exported.subarray(24);
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex().slice(0, 40);
}
