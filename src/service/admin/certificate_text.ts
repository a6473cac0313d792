import { type CertificateInfo, CertificateState } from "../../shared/gen/certificate_service_pb.ts";
import { TextTable } from "./text_table.ts";

type Timestamp = NonNullable<CertificateInfo["notAfter"]>;

/** The table of `list`. */
export function certificateTable(): TextTable<CertificateInfo> {
  return new TextTable(["POD", "NODE", "SERIAL", "EXPIRES", "STATE"], row);
}

function row(certificate: CertificateInfo): string[] {
  const { pod, node, serialNumber, notAfter } = certificate;
  return [
    `${pod?.namespace}/${pod?.name}`,
    node || "-",
    serialNumber,
    instantText(notAfter) ?? "-",
    stateText(certificate),
  ];
}

/** The state from the dates and the node's reports; an older service does not state it. */
const stateNames: Readonly<Record<CertificateState, string>> = {
  [CertificateState.UNSPECIFIED]: "current",
  [CertificateState.CURRENT]: "current",
  [CertificateState.OVERDUE]: "overdue",
  [CertificateState.EXPIRED]: "expired",
  [CertificateState.RELEASED]: "released",
};

/** What is to be known of a certificate, the most important first; "ok" if it is nothing. */
function stateText({ state, revokedAt, nodeSilent }: CertificateInfo): string {
  const remarks = [
    revokedAt === undefined ? "" : "revoked",
    stateNames[state] === "current" ? "" : stateNames[state],
    nodeSilent ? "node silent" : "",
  ].filter((remark) => remark !== "");
  return remarks.join(", ") || "ok";
}

/** Every property that a certificate has, a line each. */
export function certificateDetails(certificate: CertificateInfo): string {
  const { pod } = certificate;
  const lines: [string, string | undefined][] = [
    ["serial number", certificate.serialNumber],
    ["pod", `${pod?.namespace}/${pod?.name}`],
    ["pod uid", pod?.uid],
    ["service account", pod?.serviceAccount],
    ["node", certificate.node],
    ["volume id", certificate.volumeId],
    ["common name", certificate.commonName],
    ["DNS names", certificate.dnsNames.join(", ")],
    ["IP addresses", certificate.ipAddresses.join(", ")],
    ["URIs", certificate.uris.join(", ")],
    ["valid from", instantText(certificate.notBefore)],
    ["valid until", instantText(certificate.notAfter)],
    ["predecessor", certificate.predecessorSerialNumber],
    ["revoked at", instantText(certificate.revokedAt)],
    ["state", stateText(certificate)],
  ];
  return lines.filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${name.padEnd(15)}  ${value}\n`).join("");
}

/** One line of JSON; a property that the certificate does not have is null or an empty list. */
export function certificateJson(certificate: CertificateInfo): string {
  const { pod } = certificate;
  return JSON.stringify({
    serialNumber: certificate.serialNumber,
    namespace: pod?.namespace,
    podName: pod?.name,
    podUid: pod?.uid,
    serviceAccount: pod?.serviceAccount,
    node: certificate.node || null,
    volumeId: certificate.volumeId,
    commonName: certificate.commonName || null,
    dnsNames: certificate.dnsNames,
    ipAddresses: certificate.ipAddresses,
    uris: certificate.uris,
    notBefore: instantText(certificate.notBefore) ?? null,
    notAfter: instantText(certificate.notAfter) ?? null,
    predecessor: certificate.predecessorSerialNumber || null,
    revokedAt: instantText(certificate.revokedAt) ?? null,
    state: stateNames[certificate.state],
    nodeSilent: certificate.nodeSilent,
  }) + "\n";
}

/** In whole seconds, as certificates state their times. */
export function instantText(timestamp: Timestamp | undefined): string | undefined {
  if (timestamp === undefined) return undefined;
  return Temporal.Instant.fromEpochMilliseconds(Number(timestamp.seconds) * 1000).toString();
}
