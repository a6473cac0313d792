import { IndexedHeap } from "../scheduler/indexed_heap.ts";
import type { Clock } from "../scheduler/clock.ts";
import type { Scheduler } from "../scheduler/scheduler.ts";
import type { LeafNames } from "../x509/leaf.ts";
import type { PodIdentity } from "./ports.ts";

/** One certificate, as the inventory tells it. */
export interface InventoryEntry {
  readonly serialNumber: string;
  readonly pod: PodIdentity;
  readonly volumeId: string;
  /** The node that asked for it; undefined where callers are not asked who they are. */
  readonly node: string | undefined;
  readonly names: Omit<LeafNames, "organizationalUnits">;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** The serial number of the certificate that this one renewed. */
  readonly predecessor: string | undefined;
}

/** What is kept of an entry, so that a million of them are 0.6 GB. */
interface Row {
  readonly serialNumber: string;
  readonly podUid: string;
  readonly notBeforeSeconds: number;
  readonly notAfterSeconds: number;
  /** All else as JSON: one flat string takes half the memory of the objects that it describes. */
  readonly packed: string;
  /** The next certificate of the same pod. */
  sibling: Row | undefined;
}

const jobKey = "inventory-expiry";
/** Certificates that expired go together. */
const sweepSeconds = 60;

/**
 * The certificates that are valid now, as far as this process signed them or was told of them.
 * Nothing that is decided depends on it.
 */
export class Inventory {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #capacity: number;
  readonly #rows = new Map<string, Row>();
  readonly #byPod = new Map<string, Row>();
  /** Serial numbers by the second of their expiry. */
  readonly #expiring = new IndexedHeap<string>();

  constructor(options: { clock: Clock; scheduler: Scheduler; capacity?: number }) {
    this.#clock = options.clock;
    this.#scheduler = options.scheduler;
    this.#capacity = options.capacity ?? 1_000_000;
  }

  get size(): number {
    return this.#rows.size;
  }

  /** Adds a certificate, in place of what was known under its serial number; over the bound the first to expire goes. */
  add(entry: InventoryEntry): void {
    this.#remove(entry.serialNumber);
    const { uid } = entry.pod;
    const previous = this.#byPod.get(uid);
    const row: Row = {
      serialNumber: entry.serialNumber,
      podUid: previous?.podUid ?? uid,
      notBeforeSeconds: seconds(entry.notBefore),
      notAfterSeconds: seconds(entry.notAfter),
      packed: pack(entry),
      sibling: previous,
    };
    this.#rows.set(row.serialNumber, row);
    this.#byPod.set(row.podUid, row);
    this.#expiring.set(row.serialNumber, row.notAfterSeconds);
    while (this.#rows.size > this.#capacity) this.#dropFirst();
    this.#plan();
  }

  get(serialNumber: string): InventoryEntry | undefined {
    const row = this.#rows.get(serialNumber);
    return row && entryOf(row);
  }

  /** A pod's certificates, the newest first. */
  *ofPod(uid: string): Generator<InventoryEntry> {
    for (let row = this.#byPod.get(uid); row !== undefined; row = row.sibling) yield entryOf(row);
  }

  /** All certificates; those that come and go meanwhile may or may not be among them. */
  *all(): Generator<InventoryEntry> {
    for (const row of this.#rows.values()) yield entryOf(row);
  }

  /** The last instant at which a certificate of the pod that is known here is valid. */
  lastNotAfter(uid: string): Temporal.Instant | undefined {
    let last: number | undefined;
    for (let row = this.#byPod.get(uid); row !== undefined; row = row.sibling) {
      last = Math.max(last ?? row.notAfterSeconds, row.notAfterSeconds);
    }
    return last === undefined ? undefined : instant(last);
  }

  /** From the first certificate on, for as long as the scheduler lives. */
  #plan(): void {
    if (this.#scheduler.nextRun(jobKey) !== undefined) return;
    const next = () => this.#clock.now().add({ seconds: sweepSeconds });
    this.#scheduler.schedule(jobKey, next(), () => {
      this.#sweep();
      return Promise.resolve(next());
    });
  }

  #sweep(): void {
    const now = seconds(this.#clock.now());
    for (;;) {
      const first = this.#expiring.peek();
      if (first === undefined || first.priority >= now) return;
      this.#remove(first.key);
    }
  }

  #dropFirst(): void {
    const first = this.#expiring.peek();
    if (first !== undefined) this.#remove(first.key);
  }

  #remove(serialNumber: string): void {
    const row = this.#rows.get(serialNumber);
    if (row === undefined) return;
    this.#rows.delete(serialNumber);
    this.#expiring.delete(serialNumber);
    const first = this.#byPod.get(row.podUid);
    if (first !== row) {
      let before = first;
      while (before !== undefined && before.sibling !== row) before = before.sibling;
      if (before !== undefined) before.sibling = row.sibling;
    } else if (row.sibling === undefined) this.#byPod.delete(row.podUid);
    else this.#byPod.set(row.podUid, row.sibling);
  }
}

function seconds(at: Temporal.Instant): number {
  return Math.floor(at.epochMilliseconds / 1000);
}

function instant(epochSeconds: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(epochSeconds * 1000);
}

function pack({ pod, volumeId, node, names, predecessor }: InventoryEntry): string {
  const { namespace, name, serviceAccount } = pod;
  const { commonName, dnsNames, ipAddresses, uris } = names;
  return JSON.stringify([
    ...[namespace, name, serviceAccount, volumeId, node ?? null, predecessor ?? null],
    ...[commonName, dnsNames, ipAddresses, uris],
  ]);
}

function entryOf(row: Row): InventoryEntry {
  const [namespace, name, serviceAccount, volumeId, node, predecessor, ...names] = JSON.parse(
    row.packed,
  );
  const [commonName, dnsNames, ipAddresses, uris] = names;
  return {
    serialNumber: row.serialNumber,
    pod: { namespace, name, uid: row.podUid, serviceAccount },
    volumeId,
    node: node ?? undefined,
    names: { commonName, dnsNames, ipAddresses, uris },
    notBefore: instant(row.notBeforeSeconds),
    notAfter: instant(row.notAfterSeconds),
    predecessor: predecessor ?? undefined,
  };
}
