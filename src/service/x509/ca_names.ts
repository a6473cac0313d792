import {
  type Certificate,
  describeCertificate,
  readCertificateFields,
} from "../../shared/x509/certificate.ts";
import { encodeDer } from "../../shared/crypto/der_writer.ts";
import { hasIssuerName } from "../../shared/x509/chain.ts";
import { writeName } from "../../shared/x509/distinguished_name.ts";
import type { CertificateNames } from "./certificate_names.ts";
import {
  type Name,
  type NameConstraints,
  nameConstraintsOf,
  outsideReason,
} from "./name_constraints.ts";
import type { CaCertificates } from "./related_ca.ts";

/** Names that every CA has to be able to certify. */
export interface NecessaryNames {
  /** The name in the service's own certificate. */
  readonly servingName: string;
  readonly clusterDomain: string;
}

/** Why no certificate of a CA would be accepted, though the CA itself could sign; undefined when some would. */
export function namesRejectionReason(
  { chain, roots }: CaCertificates,
  { servingName, clusterDomain }: NecessaryNames,
): string | undefined {
  const constraints = nameConstraintsOf([...new Set([...chain, ...roots])]);
  const reasonOf = (dnsName: string) =>
    outsideReason(constraints, { kind: "dns", value: dnsName }) ??
      outsideReason(constraints, subjectOf({ organizationalUnits: [], commonName: dnsName }));
  const serving = reasonOf(servingName);
  if (serving !== undefined) {
    return `the CA cannot certify the service's own name: "${servingName}" ${serving}; ` +
      "set SERVING_NAME to a name that they permit, in the service and in the drivers, or give " +
      "another CA";
  }
  const sample = `pod.namespace.svc.${clusterDomain}`;
  const pods = reasonOf(sample);
  if (pods === undefined) return undefined;
  return `the CA cannot certify pods: their names, such as "${sample}" (CLUSTER_DOMAIN is ` +
    `${clusterDomain}), are not permitted: it ${pods}; give a CA that permits them`;
}

/**
 * Why a CA's own subject, or that of one above it, is outside the directory names that the certificates above it
 * permit; undefined where it is not. The path begins with the CA.
 */
export function subjectRejectionReason(path: readonly Certificate[]): string | undefined {
  for (const [index, certificate] of path.entries()) {
    const subject = readCertificateFields(certificate.der)?.subject;
    // RFC 5280, 6.1.3 (b): self-issued certificates are exempt.
    if (subject === undefined || hasIssuerName(certificate, certificate)) continue;
    const above = nameConstraintsOf(path.slice(index + 1));
    const reason = outsideReason(above, { kind: "subject", value: subject.toHex() });
    if (reason === undefined) continue;
    return `the subject of ${describeCertificate(certificate)} ${reason}; have it issued again`;
  }
}

/** A name of a leaf that its CA cannot certify. */
export interface OutsideName {
  readonly kind: Name["kind"];
  readonly name: string;
  /** Follows the name. */
  readonly reason: string;
}

/** The names of a leaf that are outside its CA's constraints. */
export function outsideNames(
  constraints: readonly NameConstraints[],
  names: CertificateNames,
): OutsideName[] {
  if (constraints.length === 0) return [];
  const all: (Name & { readonly name: string })[] = [
    ...names.dnsNames.map((name) => ({ kind: "dns" as const, value: name, name })),
    ...names.ipAddresses.map((name) => ({ kind: "ip" as const, value: name, name })),
    ...names.uris.map((name) => ({ kind: "uri" as const, value: name, name })),
    { ...subjectOf(names), name: subjectText(names) },
  ];
  // OpenSSL compares the common name where there is no DNS name.
  if (names.dnsNames.length === 0) {
    all.push({ kind: "dns", value: names.commonName, name: names.commonName });
  }
  return all.flatMap(({ kind, value, name }) => {
    const reason = outsideReason(constraints, { kind, value });
    return reason === undefined ? [] : [{ kind, name, reason }];
  });
}

type SubjectNames = Pick<CertificateNames, "organizationalUnits" | "commonName">;

function subjectOf({ organizationalUnits, commonName }: SubjectNames): Name {
  const der = encodeDer(writeName(organizationalUnits, commonName));
  return { kind: "subject", value: der.toHex() };
}

function subjectText({ organizationalUnits, commonName }: SubjectNames): string {
  return [...organizationalUnits.map((unit) => `OU=${unit}`), `CN=${commonName}`].join(", ");
}
