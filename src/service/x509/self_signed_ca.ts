import type { caKeyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import {
  exportPrivateKey,
  exportPublicKey,
  generateKeyPair,
  signatureParameters,
} from "../../shared/crypto/key_pairs.ts";
import { keyIdentifier } from "./key_identifier.ts";
import { randomSerialNumber } from "./leaf_certificate.ts";
import { encodePem } from "../../shared/crypto/pem.ts";

/** Makes a key and its self-signed root certificate, with everything that strict verifiers require. */
export async function createSelfSignedCa(options: {
  algorithm: typeof caKeyAlgorithms[number];
  commonName: string;
  notBefore: Temporal.Instant;
  notAfter: Temporal.Instant;
}): Promise<{ certificatePem: string; privateKeyPem: string }> {
  // A root is made once in years, by a library that is loaded only then.
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
