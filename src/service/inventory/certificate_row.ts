import type { InventoryEntry } from "./inventory_entry.ts";

/** What a row has beside its entry. */
export interface RowState {
  /** Whether the predecessor was in this inventory as a certificate of the same volume. */
  readonly isPredecessorKnown: boolean;
  /** The end of the last certificate of the volume, those included that this one replaced. */
  readonly validUntil: number;
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
  readonly valid_until: number;
  readonly bytes: number;
}

/** The columns that an insertion sets, in the order of `rowValues`. */
export const columns: readonly (keyof CertificateRow)[] = [
  "serial_number",
  "origin",
  "pod_uid",
  "volume_id",
  "namespace",
  "pod_name",
  "service_account",
  "node",
  "names",
  "not_before",
  "not_after",
  "predecessor",
  "predecessor_known",
  "valid_until",
  "bytes",
];

/** An entry's values in the order of the columns, and the size of its row in bytes. */
export function rowValues(entry: InventoryEntry, state: RowState) {
  const { pod, names } = entry;
  const values = [
    entry.serialNumber,
    entry.origin,
    pod.uid,
    entry.volumeId,
    pod.namespace,
    pod.name,
    pod.serviceAccount,
    entry.node ?? null,
    JSON.stringify([names.commonName, names.dnsNames, names.ipAddresses, names.uris]),
    wholeSeconds(entry.notBefore),
    wholeSeconds(entry.notAfter),
    entry.predecessor ?? null,
    Number(state.isPredecessorKnown),
    state.validUntil,
  ];
  const bytes = estimatedBytes(values);
  return { values: [...values, bytes], bytes };
}

/**
 * How much memory a row costs: its texts, most of them also in an index, in pages that are not full.
 * Measured with usual names: 660 bytes of pages for an estimate of 750.
 */
function estimatedBytes(values: readonly (string | number | null)[]): number {
  const characters = values.reduce<number>(
    (sum, value) => sum + (typeof value === "string" ? value.length : 0),
    0,
  );
  return 150 + 2 * characters;
}

/** The entry of a row. */
export function rowEntry(row: CertificateRow): InventoryEntry {
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
    notBefore: instantOf(row.not_before),
    notAfter: instantOf(row.not_after),
    predecessor: row.predecessor ?? undefined,
  };
}

/** Seconds since the epoch, without the fraction, as certificates state instants. */
export function wholeSeconds(instant: Temporal.Instant): number {
  return Math.floor(instant.epochMilliseconds / 1000);
}

export function instantOf(epochSeconds: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(epochSeconds * 1000);
}
