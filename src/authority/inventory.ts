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

/** A million entries are some 700 MB: what is kept of each is flat and shares its strings. */
interface Row {
  readonly serialNumber: string;
  readonly pod: PodIdentity;
  readonly volumeId: string;
  readonly node: string | undefined;
  readonly names: InventoryEntry["names"];
  readonly notBeforeSeconds: number;
  readonly notAfterSeconds: number;
  readonly predecessor: string | undefined;
  /** The next certificate of the same pod. */
  sibling: Row | undefined;
}

const jobKey = "inventory-expiry";
/** Certificates that expired go together. */
const sweepSeconds = 60;
/** Shared by all entries that have none. */
const none: string[] = [];

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
    const { pod, names } = entry;
    const previous = this.#byPod.get(pod.uid);
    const row: Row = {
      serialNumber: entry.serialNumber,
      volumeId: entry.volumeId,
      node: entry.node,
      predecessor: entry.predecessor,
      pod: previous && isSame(previous.pod, pod) ? previous.pod : pod,
      names: {
        commonName: names.commonName,
        dnsNames: shared(names.dnsNames),
        ipAddresses: shared(names.ipAddresses),
        uris: shared(names.uris),
      },
      notBeforeSeconds: seconds(entry.notBefore),
      notAfterSeconds: seconds(entry.notAfter),
      sibling: previous,
    };
    this.#rows.set(row.serialNumber, row);
    this.#byPod.set(pod.uid, row);
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
    const first = this.#byPod.get(row.pod.uid);
    if (first !== row) {
      let before = first;
      while (before !== undefined && before.sibling !== row) before = before.sibling;
      if (before !== undefined) before.sibling = row.sibling;
    } else if (row.sibling === undefined) this.#byPod.delete(row.pod.uid);
    else this.#byPod.set(row.pod.uid, row.sibling);
  }
}

function isSame(one: PodIdentity, other: PodIdentity): boolean {
  return one.namespace === other.namespace && one.name === other.name &&
    one.serviceAccount === other.serviceAccount;
}

function shared(list: string[]): string[] {
  return list.length === 0 ? none : list;
}

function seconds(at: Temporal.Instant): number {
  return Math.floor(at.epochMilliseconds / 1000);
}

function instant(epochSeconds: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(epochSeconds * 1000);
}

function entryOf(row: Row): InventoryEntry {
  const { notBeforeSeconds, notAfterSeconds, sibling: _sibling, ...entry } = row;
  return { ...entry, notBefore: instant(notBeforeSeconds), notAfter: instant(notAfterSeconds) };
}
