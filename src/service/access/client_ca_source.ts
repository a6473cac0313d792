import { readSequence } from "../../shared/crypto/der_reader.ts";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";

/** The CAs of clients' certificates that are in use now. */
export interface ClientCaSource {
  /** The same list until it changes. */
  readonly certificates: readonly Certificate[];
  /** Calls back each time other certificates come into use, until disposed. */
  onChange(listener: () => void): Disposable;
}

/**
 * Why a certificate cannot be a client CA; undefined for one that can. TLS libraries accept any
 * certificate as an anchor: with one of version 1, or one that is not a CA certificate, the
 * certificate itself is accepted as a client certificate.
 */
export function clientCaRejectionReason(certificate: Certificate): string | undefined {
  const description = describeCertificate(certificate);
  if (!isVersion3(certificate.der)) {
    return `${description} is not an X.509 v3 certificate; make a CA with basicConstraints CA:TRUE`;
  }
  if (!certificate.isCa) {
    return `${description} is not a CA certificate (basicConstraints has no CA:TRUE)`;
  }
  const { keyUsage } = certificate;
  return keyUsage === undefined || keyUsage.includes("keyCertSign")
    ? undefined
    : `${description} may not sign certificates: its keyUsage lacks keyCertSign`;
}

/** RFC 5280, 4.1.2.1: the version is left out of version 1, and is 2 in version 3. */
function isVersion3(der: Uint8Array): boolean {
  const [signed] = readSequence(der) ?? [];
  const [version] = (signed && readSequence(signed.whole)) ?? [];
  const [number] = version?.tag === 0xa0 ? version.content.subarray(2) : [];
  return version?.content.length === 3 && number === 2;
}
