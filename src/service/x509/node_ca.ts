import { createHash } from "node:crypto";
import {
  derBitString,
  derSequence,
  derTime,
  derUnsignedInteger,
  element,
  encodeDer,
} from "../../shared/crypto/der_writer.ts";
import { signatureAlgorithm } from "../../shared/crypto/signature_scheme.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import { type Certificate, readCertificate } from "../../shared/x509/certificate.ts";
import { writeName } from "../../shared/x509/distinguished_name.ts";
import { writeExtension, writeKeyUsage } from "../../shared/x509/extensions.ts";
import { keyIdentifier } from "./key_identifier.ts";
import { deriveNodeCaKey, type NodeCaScope } from "./node_ca_key.ts";

/** The CA that signs nodes' client certificates. */
export interface NodeCa {
  readonly certificate: Certificate;
  /** ECDSA P-256. */
  readonly privateKey: CryptoKey;
}

/** The same in every replica, so that every replica accepts the certificates of the others. */
const commonName = "csi-cert-driver node CA";
/**
 * A replica accepts a node CA as long as it has the CA key from which the node CA is derived. The dates
 * have no meaning; they are wide enough for every clock and every renewal of the CA's certificate.
 */
const notBefore = Temporal.Instant.from("2020-01-01T00:00:00Z");
/** RFC 5280, 4.1.2.5: no well-defined expiration date. */
const notAfter = Temporal.Instant.from("9999-12-31T23:59:59Z");

/** Derives the node CA of a CA key, with a self-signed certificate; undefined when the PEM has no key. */
export async function deriveNodeCa(
  caPrivateKeyPem: string,
  scope: NodeCaScope,
): Promise<NodeCa | undefined> {
  const key = await deriveNodeCaKey(caPrivateKeyPem, scope);
  if (key === undefined) return undefined;
  const { privateKey, spki } = key;
  const algorithm = signatureAlgorithm("ecdsa-p256");
  const name = writeName([], commonName);
  const signed = encodeDer(derSequence(
    version3,
    derUnsignedInteger(serialNumberOf(spki)),
    algorithm,
    name,
    derSequence(derTime(notBefore), derTime(notAfter)),
    name,
    spki,
    element(
      0xa3,
      derSequence(
        writeExtension("basicConstraints", derSequence(isCa, noCaBelow), true),
        writeExtension("keyUsage", writeKeyUsage("keyCertSign"), true),
        writeExtension("subjectKeyIdentifier", element(0x04, keyIdentifier(spki)), false),
      ),
    ),
  ));
  const signature = await webCryptoEngine.sign(privateKey, "ecdsa-p256", signed);
  const der = encodeDer(derSequence(signed, algorithm, derBitString(signature)));
  const certificate = readCertificate(der);
  if (certificate === undefined) throw new TypeError("the node CA's certificate cannot be read");
  return { certificate, privateKey };
}

/** Derived from the key, so that it is the same in every replica; positive, 16 bytes. */
function serialNumberOf(spki: Uint8Array): Uint8Array {
  const digest = new Uint8Array(createHash("sha256").update(spki).digest()).slice(0, 16);
  digest[0] = ((digest[0] ?? 0) & 0x3f) | 0x40;
  return digest;
}

const version3 = Uint8Array.of(0xa0, 0x03, 0x02, 0x01, 0x02);
const isCa = Uint8Array.of(0x01, 0x01, 0xff);
/** A pathLenConstraint of 0. */
const noCaBelow = Uint8Array.of(0x02, 0x01, 0x00);
