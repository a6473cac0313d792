import { exportPrivateKey, exportPublicKey, generateKeyPair, signatureParameters } from "./keys.ts";
import { keyIdentifier } from "./key_identifier.ts";
import { randomSerialNumber } from "./leaf.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  Name,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "./peculiar.ts";
import { encodePem } from "./pem.ts";

/** A new key and its self-signed root certificate, with all that strict verifiers ask of a root. */
export async function createRoot(options: {
  algorithm: "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-4096";
  commonName: string;
  notBefore: Temporal.Instant;
  notAfter: Temporal.Instant;
}): Promise<{ certificatePem: string; privateKeyPem: string }> {
  const keys = await generateKeyPair(options.algorithm);
  const spki = await exportPublicKey(keys.publicKey);
  const certificate = await X509CertificateGenerator.create({
    serialNumber: randomSerialNumber(),
    subject: new Name([{ CN: [{ utf8String: options.commonName }] }]),
    issuer: new Name([{ CN: [{ utf8String: options.commonName }] }]),
    notBefore: new Date(options.notBefore.epochMilliseconds),
    notAfter: new Date(options.notAfter.epochMilliseconds),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: signatureParameters(options.algorithm),
    extensions: [
      new BasicConstraintsExtension(true, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
      new SubjectKeyIdentifierExtension((await keyIdentifier(spki)).toHex()),
    ],
  });
  return {
    certificatePem: encodePem("CERTIFICATE", new Uint8Array(certificate.rawData)),
    privateKeyPem: await exportPrivateKey(keys.privateKey),
  };
}
