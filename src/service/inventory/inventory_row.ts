import type { InventoryEntry } from "./inventory_entry.ts";
import { RowReader, type RowWriter } from "./row_bytes.ts";

/** How a name is written: names that follow from the pod are not repeated. */
const repeats = { nothing: 0, commonName: 1, podName: 2, qualifiedName: 3 };

/** Writes an entry, in about 150 bytes where the objects that it consists of take 1,000. */
export function writeRow(row: RowWriter, entry: InventoryEntry): void {
  const { pod, names, node, predecessor } = entry;
  row.digits(entry.serialNumber);
  row.digits(pod.uid);
  row.digits(entry.volumeId);
  row.number(wholeSeconds(entry.notBefore));
  row.number(wholeSeconds(entry.notAfter));
  row.text(pod.namespace);
  row.text(pod.name);
  row.text(pod.serviceAccount);
  row.number((node === undefined ? 0 : 1) + (predecessor === undefined ? 0 : 2));
  if (node !== undefined) row.text(node);
  if (predecessor !== undefined) row.digits(predecessor);
  const known = { commonName: undefined, podName: pod.name, qualifiedName: qualified(pod) };
  writeName(row, names.commonName, known);
  const all = { ...known, commonName: names.commonName };
  for (const list of [names.dnsNames, names.ipAddresses, names.uris]) {
    row.number(list.length);
    for (const name of list) writeName(row, name, all);
  }
}

/** The entry that was written. */
export function readRow(bytes: Uint8Array): InventoryEntry {
  const row = new RowReader(bytes);
  const serialNumber = row.digits();
  const uid = row.digits();
  const volumeId = row.digits();
  const [notBefore, notAfter] = [instant(row.number()), instant(row.number())];
  const [namespace, name, serviceAccount] = [row.text(), row.text(), row.text()];
  const present = row.number();
  const node = present & 1 ? row.text() : undefined;
  const predecessor = present & 2 ? row.digits() : undefined;
  const pod = { namespace, name, uid, serviceAccount };
  const known = { commonName: "", podName: name, qualifiedName: qualified(pod) };
  const commonName = readName(row, known);
  const all = { ...known, commonName };
  const list = () => Array.from({ length: row.number() }, () => readName(row, all));
  const names = { commonName, dnsNames: list(), ipAddresses: list(), uris: list() };
  return { serialNumber, pod, volumeId, node, names, notBefore, notAfter, predecessor };
}

/** What names repeat. */
interface Known<CommonName> {
  readonly commonName: CommonName;
  readonly podName: string;
  readonly qualifiedName: string;
}

function qualified({ namespace, name }: { namespace: string; name: string }): string {
  return `${name}.${namespace}.`;
}

function writeName(row: RowWriter, name: string, known: Known<string | undefined>): void {
  if (name === known.commonName) return row.number(repeats.commonName);
  if (name === known.podName) return row.number(repeats.podName);
  const isQualified = name.startsWith(known.qualifiedName);
  row.number(isQualified ? repeats.qualifiedName : repeats.nothing);
  row.text(isQualified ? name.slice(known.qualifiedName.length) : name);
}

function readName(row: RowReader, known: Known<string>): string {
  const repeated = row.number();
  if (repeated === repeats.commonName) return known.commonName;
  if (repeated === repeats.podName) return known.podName;
  return (repeated === repeats.qualifiedName ? known.qualifiedName : "") + row.text();
}

/** Seconds since the epoch; nothing that is signed here begins before it. */
export function wholeSeconds(at: Temporal.Instant): number {
  return Math.max(0, Math.floor(at.epochMilliseconds / 1000));
}

function instant(epochSeconds: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(epochSeconds * 1000);
}
