import {
  exportPrivateKey,
  exportPublicKey,
  generateKeyPair,
  signatureParameters,
} from "../../shared/crypto/key_pairs.ts";
import { keyIdentifier } from "./key_identifier.ts";
import { randomSerialNumber } from "./leaf_certificate.ts";
import { encodePem } from "../../shared/crypto/pem.ts";

/** A new key and its self-signed root certificate, with all that strict verifiers ask of a root. */
export async function createSelfSignedCa(options: {
  algorithm: "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-4096";
  commonName: string;
  notBefore: Temporal.Instant;
  notAfter: Temporal.Instant;
}): Promise<{ certificatePem: string; privateKeyPem: string }> {
  // Roots are made once in years: a library does it, which is not even loaded where leaves are signed.
  const x509 = await import("./peculiar_x509.ts");
  const keys = await generateKeyPair(options.algorithm);
  const spki = await exportPublicKey(keys.publicKey);
  const name = new x509.Name([{ CN: [{ utf8String: options.commonName }] }]);
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: randomSerialNumber(),
    subject: name,
    issuer: name,
    notBefore: new Date(options.notBefore.epochMilliseconds),
    notAfter: new Date(options.notAfter.epochMilliseconds),
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: signatureParameters(options.algorithm),
    extensions: [
      new x509.BasicConstraintsExtension(true, undefined, true),
      new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
      new x509.SubjectKeyIdentifierExtension(keyIdentifier(spki).toHex()),
    ],
  });
  return {
    certificatePem: encodePem("CERTIFICATE", new Uint8Array(certificate.rawData)),
    privateKeyPem: await exportPrivateKey(keys.privateKey),
  };
}
