import {
  derAsciiString,
  derBitString,
  derObjectIdentifier,
  derSequence,
  derTime,
  derUnsignedInteger,
  element,
  encodeDer,
} from "../../shared/crypto/der_writer.ts";
import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { signatureAlgorithm } from "../../shared/crypto/signature_scheme.ts";
import { readCertificateFields } from "../../shared/x509/certificate.ts";
import { keyPurposes, writeExtension, writeKeyUsage } from "../../shared/x509/extensions.ts";
import { writeSubjectAlternativeNames } from "../../shared/x509/subject_alternative_names.ts";
import { keyIdentifier } from "./key_identifier.ts";
import type { NodeCa } from "./node_ca.ts";

/** The attribute of the subject that contains the uid of the driver's pod, or a replica's id (X.520, serialNumber). */
export const holderAttribute = "2.5.4.5";

/** A driver attests again before its certificate expires; a longer token does not make it longer. */
export const nodeCertificateLifetime = Temporal.Duration.from({ hours: 1 });

/** What the client certificate of a node, or of a replica of the service, states. */
export interface NodeCertificateTemplate {
  /** SubjectPublicKeyInfo, DER. */
  readonly spki: Uint8Array;
  /** spiffe://TRUST_DOMAIN/csi-cert-node/NAME or spiffe://TRUST_DOMAIN/csi-cert-service. */
  readonly uri: string;
  /** The uid of the driver's pod, or the replica's id. */
  readonly holder: string;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** Hexadecimal. */
  readonly serialNumber: string;
}

/**
 * Signs the client certificate of a node or a replica, and returns its DER. Its only EKU is clientAuth, and it has one
 * URI. It has no common name, because a node's name can be longer than a common name.
 */
export async function signNodeCertificate(
  { certificate, privateKey }: NodeCa,
  template: NodeCertificateTemplate,
  engine: SignatureEngine,
): Promise<Uint8Array> {
  const { spki, uri, holder } = template;
  const fields = readCertificateFields(certificate.der);
  const issuerKey = certificate.subjectKeyIdentifier;
  if (!fields || !issuerKey) {
    throw new TypeError("the node CA's certificate is not a CA certificate");
  }
  const algorithm = signatureAlgorithm("ecdsa-p256");
  const names = { dnsNames: [], ipAddresses: [], uris: [uri] };
  const signed = encodeDer(derSequence(
    version3,
    derUnsignedInteger(Uint8Array.fromHex(template.serialNumber)),
    algorithm,
    fields.subject,
    derSequence(derTime(template.notBefore), derTime(template.notAfter)),
    writeSubject(holder),
    spki,
    element(
      0xa3,
      derSequence(
        writeExtension("basicConstraints", derSequence(), true),
        writeExtension("keyUsage", writeKeyUsage("digitalSignature"), true),
        writeExtension("extendedKeyUsage", derSequence(clientAuth), false),
        writeExtension("subjectKeyIdentifier", element(0x04, keyIdentifier(spki)), false),
        writeExtension("authorityKeyIdentifier", derSequence(element(0x80, issuerKey)), false),
        writeExtension("subjectAltName", writeSubjectAlternativeNames(names), false),
      ),
    ),
  ));
  const signature = await engine.sign(privateKey, "ecdsa-p256", signed);
  return encodeDer(derSequence(signed, algorithm, derBitString(signature)));
}

/** A Name of one serialNumber, which is a PrintableString; throws a TypeError for other texts. */
function writeSubject(holder: string) {
  if (!printable.test(holder)) {
    throw new TypeError("the holder's id has a character other than letters, digits and -");
  }
  return derSequence(
    element(0x31, derSequence(holderType, derAsciiString(0x13, holder))),
  );
}

/** The characters of a pod's uid and of a UUID; X.520 allows 64. */
const printable = /^[A-Za-z0-9-]{1,64}$/;
const holderType = encodeDer(derObjectIdentifier(holderAttribute));
const version3 = Uint8Array.of(0xa0, 0x03, 0x02, 0x01, 0x02);
const clientAuth = encodeDer(derObjectIdentifier(keyPurposes.clientAuth));
