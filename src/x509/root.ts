import { writeCertificate } from "./certificate_writing.ts";
import { element } from "./der_writing.ts";
import { writeName } from "./distinguished_name.ts";
import { caConstraints, writeExtension, writeKeyUsage } from "./extensions.ts";
import { keyIdentifier } from "./key_identifier.ts";
import { exportPrivateKey, exportPublicKey, generateKeyPair } from "./keys.ts";
import { randomSerialNumber } from "./leaf.ts";
import { encodePem } from "./pem.ts";
import { signatureAlgorithm } from "./signature_scheme.ts";
import { webCryptoEngine } from "./web_crypto_engine.ts";

/** A new key and its self-signed root certificate, with all that strict verifiers ask of a root. */
export async function createRoot(options: {
  algorithm: "ecdsa-p256" | "ecdsa-p384" | "rsa-2048" | "rsa-4096";
  commonName: string;
  notBefore: Temporal.Instant;
  notAfter: Temporal.Instant;
}): Promise<{ certificatePem: string; privateKeyPem: string }> {
  const { algorithm, notBefore, notAfter } = options;
  const { publicKey, privateKey } = await generateKeyPair(algorithm);
  const spki = await exportPublicKey(publicKey);
  const name = writeName([], options.commonName);
  const certificate = await writeCertificate(
    {
      serialNumber: randomSerialNumber(),
      algorithm: signatureAlgorithm(algorithm),
      ...{ issuer: name, notBefore, notAfter, subject: name, spki },
      extensions: [
        writeExtension("basicConstraints", caConstraints, true),
        writeExtension("keyUsage", writeKeyUsage("keyCertSign", "cRLSign"), true),
        writeExtension("subjectKeyIdentifier", element(0x04, keyIdentifier(spki)), false),
      ],
    },
    (signed) => webCryptoEngine.sign(privateKey, algorithm, signed),
  );
  return {
    certificatePem: encodePem("CERTIFICATE", certificate),
    privateKeyPem: await exportPrivateKey(privateKey),
  };
}
