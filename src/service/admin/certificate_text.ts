import type { CertificateInfo } from "../../shared/gen/certificate_service_pb.ts";

type Timestamp = NonNullable<CertificateInfo["notAfter"]>;

/** A table whose columns never become narrower, because it is printed page by page. */
export class CertificateTable {
  readonly #widths = titles.map(({ length }) => length);
  #hasTitles = false;

  /** The rows as lines, below the titles if they are the first ones. */
  format(certificates: readonly CertificateInfo[]): string {
    const rows = certificates.map(row);
    if (!this.#hasTitles) rows.unshift(titles);
    this.#hasTitles = true;
    for (const cells of rows) {
      for (const [column, { length }] of cells.entries()) {
        this.#widths[column] = Math.max(this.#widths[column] ?? 0, length);
      }
    }
    return rows.map((cells) => this.#line(cells)).join("");
  }

  #line(cells: readonly string[]): string {
    const padded = cells.map((cell, column) => cell.padEnd(this.#widths[column] ?? 0));
    return `${padded.join("  ").trimEnd()}\n`;
  }
}

const titles = ["POD", "NODE", "SERIAL", "EXPIRES", "STATE"];

function row({ pod, node, serialNumber, notAfter, revokedAt }: CertificateInfo): string[] {
  const state = revokedAt === undefined ? "ok" : "revoked";
  return [
    `${pod?.namespace}/${pod?.name}`,
    node || "-",
    serialNumber,
    instantText(notAfter) ?? "-",
    state,
  ];
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
  }) + "\n";
}

/** In whole seconds, as certificates state their times. */
export function instantText(timestamp: Timestamp | undefined): string | undefined {
  if (timestamp === undefined) return undefined;
  return Temporal.Instant.fromEpochMilliseconds(Number(timestamp.seconds) * 1000).toString();
}
