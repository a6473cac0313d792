import { element, sequence, time, unsignedInteger } from "./der_writing.ts";
import { writeName } from "./distinguished_name.ts";
import { extensionTypes, writeExtension, writeKeyUsage } from "./extensions.ts";
import { exportPrivateKey, exportPublicKey, generateKeyPair } from "./keys.ts";
import {
  randomSerialNumber,
  signCertificate,
  subjectKeyIdentifier,
  version3,
  writeExtensions,
} from "./leaf.ts";
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
  const { privateKey, publicKey } = await generateKeyPair(options.algorithm);
  const spki = await exportPublicKey(publicKey);
  const algorithm = signatureAlgorithm(options.algorithm);
  const name = writeName([], options.commonName);
  const certificate = await signCertificate(
    sequence(
      version3,
      unsignedInteger(Uint8Array.fromHex(randomSerialNumber())),
      algorithm,
      name,
      sequence(time(options.notBefore), time(options.notAfter)),
      name,
      spki,
      writeExtensions(anyCa, signingUsage, subjectKeyIdentifier(spki)),
    ),
    algorithm,
    (octets) => webCryptoEngine.sign(privateKey, options.algorithm, octets),
  );
  return {
    certificatePem: encodePem("CERTIFICATE", certificate),
    privateKeyPem: await exportPrivateKey(privateKey),
  };
}

const anyCa = writeExtension(
  extensionTypes.basicConstraints,
  sequence(element(0x01, Uint8Array.of(0xff))),
  true,
);
const signingUsage = writeExtension(
  extensionTypes.keyUsage,
  writeKeyUsage("keyCertSign", "cRLSign"),
  true,
);
