import {
  type Certificate,
  describeCertificate,
  readCertificateFields,
} from "../../shared/x509/certificate.ts";
import { equalBytes } from "../../shared/crypto/der_reader.ts";
import { readName } from "../../shared/x509/distinguished_name.ts";
import { extensionTypes, keyPurposes, readKeyPurposes } from "../../shared/x509/extensions.ts";

const keyUsageSuggestion = "make it with -addext keyUsage=critical,keyCertSign,cRLSign";

/** Why a CA certificate cannot sign leaves at an instant, and what to do; undefined for one that can. */
export function caRejectionReason(
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

/** Problems of a CA certificate for which some verifiers reject its leaves, though it can be used. */
export function caWarnings(certificate: Certificate): string[] {
  const { keyUsage, subjectKeyIdentifier: own, authorityKeyIdentifier } = certificate;
  const shown = describeCertificate(certificate);
  const warnings: string[] = [];
  if (keyUsage === undefined) {
    warnings.push(
      `${shown} has no keyUsage: strict verifiers reject its leaves; ${keyUsageSuggestion}`,
    );
  }
  if (own === undefined) {
    warnings.push(
      `${shown} has no subjectKeyIdentifier: strict verifiers reject its leaves; ` +
        "make it with -addext subjectKeyIdentifier=hash",
    );
  }
  const isSelfIssued = certificate.subject === certificate.issuer;
  if (isSelfIssued && authorityKeyIdentifier && !(own && equalBytes(own, authorityKeyIdentifier))) {
    warnings.push(
      `${shown} has an authorityKeyIdentifier other than its own key: OpenSSL does not accept it ` +
        "as a root; make it with -addext authorityKeyIdentifier=none",
    );
  }
  const { extensions } = certificate;
  if (extensions.has(extensionTypes.nameConstraints)) {
    warnings.push(`${shown} has nameConstraints: verifiers reject leaves with names outside them`);
  }
  const allowed = extensions.get(extensionTypes.extendedKeyUsage);
  const usages = allowed && (readKeyPurposes(allowed.value) ?? []);
  if (usages && !usages.includes(keyPurposes.any) && !tls.every((one) => usages.includes(one))) {
    warnings.push(
      `${shown} has an extendedKeyUsage without serverAuth or clientAuth: verifiers reject its leaves`,
    );
  }
  return warnings;
}

const tls = [keyPurposes.serverAuth, keyPurposes.clientAuth];
