import type { InventoryEntry, StoredEntry } from "./inventory_entry.ts";

/** What a row has beside its entry. */
export interface RowState {
  /** Whether the predecessor was in this inventory as a certificate of the same volume. */
  readonly isPredecessorKnown: boolean;
}

/** A row as SQLite returns it. Instants are whole seconds since the epoch. */
export interface CertificateRow {
  readonly id: number;
  readonly serial_number: string;
  readonly origin: InventoryEntry["origin"];
  readonly pod_uid: string;
  readonly volume_id: string;
  readonly namespace: string;
  readonly pod_name: string;
  readonly service_account: string;
  readonly node: string | null;
  readonly names: string;
  readonly not_before: number;
  readonly not_after: number;
  readonly predecessor: string | null;
  readonly predecessor_known: number;
  readonly bytes: number;
  /** 1 for a volume that its node's last complete report contains. */
  readonly listed: number;
  /** 1 for a volume that its node no longer has. */
  readonly released: number;
}

/** The columns that identify a volume. */
export const volumeColumns = [
  "pod_uid",
  "volume_id",
  "namespace",
  "pod_name",
  "node",
] as const satisfies readonly (keyof CertificateRow)[];

/** The columns that another certificate of the volume changes. */
export const certificateColumns = [
  "serial_number",
  "origin",
  "service_account",
  "names",
  "not_before",
  "not_after",
  "predecessor",
  "predecessor_known",
  "bytes",
] as const satisfies readonly (keyof CertificateRow)[];

type Value = string | number | null;

/** The values of `volumeColumns`. */
export function volumeValues({ pod, volumeId, node }: InventoryEntry): Value[] {
  return [pod.uid, volumeId, pod.namespace, pod.name, node ?? null];
}

/** The values of `certificateColumns`. */
export function certificateValues(entry: InventoryEntry, state: RowState, bytes: number): Value[] {
  const { names } = entry;
  return [
    entry.serialNumber,
    entry.origin,
    entry.pod.serviceAccount,
    JSON.stringify([names.commonName, names.dnsNames, names.ipAddresses, names.uris]),
    wholeSeconds(entry.notBefore),
    wholeSeconds(entry.notAfter),
    entry.predecessor ?? null,
    Number(state.isPredecessorKnown),
    bytes,
  ];
}

/**
 * How much memory the row of an entry costs: its texts, most of them also in an index and the pod's
 * uid in two, in pages that are not full. With usual names 870 bytes, and 845 to 880 were measured.
 */
export function estimatedBytes({ serialNumber, pod, ...entry }: InventoryEntry): number {
  const { commonName, dnsNames, ipAddresses, uris } = entry.names;
  const texts = [
    serialNumber,
    entry.volumeId,
    entry.node ?? "",
    entry.predecessor ?? "",
    pod.namespace,
    pod.name,
    pod.uid,
    pod.serviceAccount,
    commonName,
    ...dnsNames,
    ...ipAddresses,
    ...uris,
  ];
  return 220 + pod.uid.length + texts.reduce((sum, text) => sum + 2 * text.length + 6, 0);
}

/** The entry of a row. */
export function rowEntry(row: CertificateRow): StoredEntry {
  const [commonName, dnsNames, ipAddresses, uris] = JSON.parse(row.names);
  return {
    origin: row.origin,
    serialNumber: row.serial_number,
    pod: {
      namespace: row.namespace,
      name: row.pod_name,
      uid: row.pod_uid,
      serviceAccount: row.service_account,
    },
    volumeId: row.volume_id,
    node: row.node ?? undefined,
    names: { commonName, dnsNames, ipAddresses, uris },
    notBeforeMs: row.not_before * 1000,
    notAfterMs: row.not_after * 1000,
    predecessor: row.predecessor ?? undefined,
    presence: row.listed === 1 ? "listed" : row.released === 1 ? "released" : "unreported",
  };
}

/** Seconds since the epoch, without the fraction, as certificates state instants. */
export function wholeSeconds(instant: Temporal.Instant): number {
  return Math.floor(instant.epochMilliseconds / 1000);
}
