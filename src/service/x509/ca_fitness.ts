import { abbreviate } from "../../shared/text/printable_text.ts";
import {
  type Certificate,
  describeCertificate,
  readCertificateFields,
} from "../../shared/x509/certificate.ts";
import { equalBytes, readSequence } from "../../shared/crypto/der_reader.ts";
import { readUnsigned } from "../../shared/crypto/der_values.ts";
import { readPublicKey } from "../../shared/crypto/public_key.ts";
import { unknownCriticalExtension } from "../../shared/x509/chain.ts";
import { readName } from "../../shared/x509/distinguished_name.ts";
import { extensionTypes, keyPurposes, readKeyPurposes } from "../../shared/x509/extensions.ts";
import { readNameConstraints } from "./name_constraints.ts";

const keyUsageSuggestion = "make it with -addext keyUsage=critical,keyCertSign,cRLSign";

/** Why a certificate cannot be a trust anchor at an instant, and what to do; undefined for one that can. */
export function anchorRejectionReason(
  certificate: Certificate,
  at: Temporal.Instant,
): string | undefined {
  const { notBefore, notAfter, keyUsage } = certificate;
  const shown = describeCertificate(certificate);
  if (!certificate.isCa) {
    return `${shown} is not a CA (basicConstraints has no CA:TRUE); give the certificate of a CA`;
  }
  if (keyUsage && !keyUsage.includes("keyCertSign")) {
    return `${shown} may not sign certificates (its keyUsage is ${keyUsage.join(", ")}); ` +
      keyUsageSuggestion;
  }
  if (Temporal.Instant.compare(at, notAfter) >= 0) {
    return `${shown} expired at ${notAfter}, and it is ${at}; give one that is valid`;
  }
  if (Temporal.Instant.compare(at, notBefore) < 0) {
    return `${shown} is not valid before ${notBefore}, and it is ${at}; ` +
      "wait, or correct the clock";
  }
  const subject = readCertificateFields(certificate.der)?.subject;
  if (!subject || !readName(subject)?.isWellEncoded) {
    return `the subject of ${shown} is not properly encoded; make the CA with a name in UTF-8`;
  }
}

/**
 * Why a CA certificate, or one above it, cannot be in the chain of leaves at an instant, and what to do;
 * undefined for one that can. Each reason is one for which verifiers in wide use reject every leaf.
 */
export function caRejectionReason(
  certificate: Certificate,
  at: Temporal.Instant,
): string | undefined {
  const unusable = anchorRejectionReason(certificate, at);
  if (unusable !== undefined) return unusable;
  const { subject, extensions, spki } = certificate;
  const serial = readCertificateFields(certificate.der)?.serialNumber ?? new Uint8Array();
  if (subject === "") {
    return `the certificate with the serial number ${
      abbreviate(certificate.serialNumber)
    } has an ` +
      "empty subject, which a CA may not have; make it with -subj /CN=NAME";
  }
  const shown = describeCertificate(certificate);
  const type = unknownCriticalExtension(certificate);
  if (type !== undefined) {
    return `${shown} has the critical extension ${type}, which verifiers do not know; ` +
      "have it issued without it";
  }
  if ((serial[0] ?? 0) >= 0x80) {
    return `${shown} has a negative serial number, and Go does not read it; have it issued again`;
  }
  const bits = rsaBits(spki);
  if (bits !== undefined && bits < 2048) {
    return `${shown} has an RSA key of ${bits} bits, and verifiers reject fewer than 2048; ` +
      "give a CA with a longer key";
  }
  const purposes = purposesOf(extensions);
  if (
    purposes && !purposes.includes(keyPurposes.serverAuth) && !purposes.includes(keyPurposes.any)
  ) {
    return `${shown} has an extendedKeyUsage without serverAuth: verifiers reject every server ` +
      "certificate below it; have it issued without extendedKeyUsage, or with serverAuth and clientAuth";
  }
  if (readNameConstraints(certificate) === "malformed") {
    return `${shown} has nameConstraints that are not as RFC 5280, 4.2.1.10, writes them; ` +
      "have it issued again";
  }
}

function purposesOf(extensions: Certificate["extensions"]): string[] | undefined {
  const extension = extensions.get(extensionTypes.extendedKeyUsage);
  return extension && (readKeyPurposes(extension.value) ?? []);
}

function rsaBits(spki: Uint8Array): number | undefined {
  const parts = readPublicKey(spki);
  if (parts?.kind !== "rsa") return undefined;
  const modulus = readUnsigned(readSequence(parts.key)?.[0]) ?? new Uint8Array();
  return modulus.length * 8 - (modulus[0] === undefined ? 0 : Math.clz32(modulus[0]) - 24);
}

/** Problems of a CA certificate for which some verifiers reject its leaves, though it can be used. */
export function caWarnings(certificate: Certificate): string[] {
  return [
    ...missingExtensions(certificate),
    ...strictProblems(certificate),
    ...constraintWarnings(certificate),
  ];
}

function missingExtensions(certificate: Certificate): string[] {
  const { keyUsage, subjectKeyIdentifier } = certificate;
  const shown = describeCertificate(certificate);
  const warnings: string[] = [];
  if (keyUsage === undefined) {
    warnings.push(
      `${shown} has no keyUsage: strict verifiers reject its leaves; ${keyUsageSuggestion}`,
    );
  }
  if (subjectKeyIdentifier === undefined) {
    warnings.push(
      `${shown} has no subjectKeyIdentifier: strict verifiers reject its leaves; ` +
        "make it with -addext subjectKeyIdentifier=hash",
    );
  }
  return warnings;
}

/** What `openssl verify -x509_strict`, and with it Python from 3.13 on, rejects. */
function strictProblems(certificate: Certificate): string[] {
  const { subjectKeyIdentifier: own, authorityKeyIdentifier, extensions } = certificate;
  const shown = describeCertificate(certificate);
  const warnings: string[] = [];
  const isSelfIssued = certificate.subject === certificate.issuer;
  if (isSelfIssued && authorityKeyIdentifier && !(own && equalBytes(own, authorityKeyIdentifier))) {
    warnings.push(
      `${shown} has an authorityKeyIdentifier other than its own key: OpenSSL does not accept it ` +
        "as a root; make it with -addext authorityKeyIdentifier=none",
    );
  }
  if (extensions.get(extensionTypes.basicConstraints)?.critical === false) {
    warnings.push(
      `${shown} has basicConstraints that are not critical: strict verifiers reject its leaves; ` +
        "make it with -addext basicConstraints=critical,CA:TRUE",
    );
  }
  if (/^0*$/.test(certificate.serialNumber)) {
    warnings.push(
      `${shown} has the serial number 0: some verifiers reject it; have it issued again`,
    );
  }
  const purposes = purposesOf(extensions);
  const { serverAuth, clientAuth } = keyPurposes;
  const tls = [serverAuth, clientAuth];
  if (purposes?.includes(serverAuth) && !purposes.includes(clientAuth)) {
    warnings.push(
      `${shown} has an extendedKeyUsage without clientAuth: verifiers reject pods as TLS clients; ` +
        "have it issued with serverAuth and clientAuth",
    );
  } else if (purposes && !tls.every((one) => purposes.includes(one))) {
    warnings.push(
      `${shown} has an extendedKeyUsage with anyExtendedKeyUsage alone: OpenSSL rejects its leaves; ` +
        "have it issued with serverAuth and clientAuth",
    );
  }
  return warnings;
}

function constraintWarnings(certificate: Certificate): string[] {
  const constraints = readNameConstraints(certificate);
  if (constraints === undefined || constraints === "malformed") return [];
  const shown = describeCertificate(certificate);
  const { critical } = certificate.extensions.get(extensionTypes.nameConstraints) ?? {};
  const { permitted, excluded } = constraints;
  const isUnknownToGo = [...permitted, ...excluded]
    .some(({ kind }) => kind === "subject" || kind === "other");
  return [
    `${shown} has nameConstraints: a pod's name outside them is left out of its certificate if it is a ` +
    "default one, and denied if its volume asks for it",
    ...(critical && isUnknownToGo
      ? [
        `${shown} has critical nameConstraints for other names than DNS names, IP addresses, URIs and ` +
        "email addresses: programs in Go reject its leaves",
      ]
      : []),
  ];
}
