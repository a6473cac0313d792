import { type Certificate, parsedForm, showCertificate } from "./certificate.ts";
import { sameOctets } from "./der.ts";
import { issuerName } from "./issuer_name.ts";
import { ExtendedKeyUsage, ExtendedKeyUsageExtension } from "./peculiar.ts";

const keyUsageMend = "make it with -addext keyUsage=critical,keyCertSign,cRLSign";

/** Why no leaf can be signed with a CA certificate at an instant, and the mend; else undefined. */
export function caProblem(certificate: Certificate, at: Temporal.Instant): string | undefined {
  const { notBefore, notAfter, keyUsage } = certificate;
  const shown = showCertificate(certificate);
  if (!certificate.isCa) {
    return `${shown} is not a CA's (basicConstraints has no CA:TRUE); give the certificate of a CA`;
  }
  if (keyUsage && !keyUsage.includes("keyCertSign")) {
    return `${shown} may not sign certificates (its keyUsage is ${keyUsage.join(", ")}); ` +
      keyUsageMend;
  }
  if (Temporal.Instant.compare(at, notAfter) >= 0) {
    return `${shown} expired at ${notAfter}, and it is ${at}; give one that is valid`;
  }
  if (Temporal.Instant.compare(at, notBefore) < 0) {
    return `${shown} is not valid before ${notBefore}, and it is ${at}; ` +
      "wait, or set the clock right";
  }
  if (issuerName(certificate) === undefined) {
    return `the subject of ${shown} is not properly encoded; make the CA with a name in UTF-8`;
  }
}

/** What a CA certificate can be used in spite of, though some verifiers refuse its leaves. */
export function caWarnings(certificate: Certificate): string[] {
  const { keyUsage, subjectKeyIdentifier: own, authorityKeyIdentifier } = certificate;
  const shown = showCertificate(certificate);
  const warnings: string[] = [];
  if (keyUsage === undefined) {
    warnings.push(`${shown} has no keyUsage: strict verifiers refuse its leaves; ${keyUsageMend}`);
  }
  if (own === undefined) {
    warnings.push(
      `${shown} has no subjectKeyIdentifier: strict verifiers refuse its leaves; ` +
        "make it with -addext subjectKeyIdentifier=hash",
    );
  }
  const isSelfIssued = certificate.subject === certificate.issuer;
  if (isSelfIssued && authorityKeyIdentifier && !(own && sameOctets(own, authorityKeyIdentifier))) {
    warnings.push(
      `${shown} names another key as its issuer's than its own: OpenSSL does not take it for a ` +
        "root; make it with -addext authorityKeyIdentifier=none",
    );
  }
  const parsed = parsedForm(certificate);
  if (parsed.getExtension(nameConstraints)) {
    warnings.push(`${shown} has nameConstraints: verifiers refuse leaves with names outside them`);
  }
  const purposes = parsed.getExtension(ExtendedKeyUsageExtension)?.usages;
  if (purposes && !purposes.includes(anyPurpose) && !tls.every((one) => purposes.includes(one))) {
    warnings.push(
      `${shown} has an extendedKeyUsage without serverAuth or clientAuth: verifiers refuse its leaves`,
    );
  }
  return warnings;
}

const nameConstraints = "2.5.29.30";
const anyPurpose = "2.5.29.37.0";
const tls = [ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth];
