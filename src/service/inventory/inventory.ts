/**
 * This folder keeps a list of the certificates that are valid now: those that this process issued,
 * and those that drivers report. Its main types are `Inventory`, `InventoryEntry` and
 * `CertificateReports`. No decision to issue depends on it. It never replaces an entry that this
 * process issued by a reported one.
 */

import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { ExpiryMinutes } from "./expiry_minutes.ts";
import type { InventoryEntry } from "./inventory_entry.ts";
import { readRow, wholeSeconds, writeRow } from "./inventory_row.ts";
import { ByteBlocks } from "./byte_blocks.ts";
import { PagedWords } from "./paged_words.ts";
import { RowWriter } from "./row_bytes.ts";
import { SlotIndex } from "./slot_index.ts";

const jobKey = "inventory-expiry";
const sweepSeconds = 60;
/** So many at a time: what else there is to do waits for a millisecond, not for a million. */
const removalsPerTurn = 500;

/**
 * The certificates that are valid now, as far as this process signed them or drivers reported them.
 * No decision depends on it. An entry is a slot, which is a number, and bytes; both are stored
 * outside the heap, so that a million of them cost 0.25 GB and the garbage collector nothing.
 */
export class Inventory {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #capacity: number;
  readonly #writer = new RowWriter();
  readonly #blocks = new ByteBlocks();
  /** The first block of each slot's row; 0: the slot is free. */
  readonly #rows = new PagedWords();
  readonly #bySerialNumber = new SlotIndex();
  readonly #byPod = new SlotIndex();
  readonly #expiring = new ExpiryMinutes();
  readonly #free: number[] = [];
  /** The highest slot that was ever taken. */
  #highest = 0;

  constructor(options: { clock: Clock; scheduler: Scheduler; capacity?: number }) {
    this.#clock = options.clock;
    this.#scheduler = options.scheduler;
    this.#capacity = options.capacity ?? 1_000_000;
  }

  get size(): number {
    return this.#highest - this.#free.length;
  }

  /**
   * Adds a certificate, in place of what was known under its serial number. Over the bound one goes
   * that is among the first to expire, to the minute.
   */
  add(entry: InventoryEntry): void {
    const known = this.#find(entry.serialNumber);
    if (known) this.#remove(known.slot);
    const slot = this.#free.pop() ?? ++this.#highest;
    this.#writer.clear();
    writeRow(this.#writer, entry);
    this.#rows.set(slot, this.#blocks.keep(this.#writer.bytes, this.#writer.length));
    this.#bySerialNumber.add(slot, entry.serialNumber);
    this.#byPod.add(slot, entry.pod.uid);
    this.#expiring.add(slot, wholeSeconds(entry.notAfter));
    if (this.size > this.#capacity) this.#remove(this.#expiring.first() ?? slot);
    this.#plan();
  }

  get(serialNumber: string): InventoryEntry | undefined {
    return this.#find(serialNumber)?.entry;
  }

  /** A pod's certificates, the newest first. */
  *ofPod(uid: string): Generator<InventoryEntry> {
    for (const slot of this.#byPod.find(uid)) {
      const entry = this.#entry(slot);
      if (entry?.pod.uid === uid) yield entry;
    }
  }

  /** All certificates, in no order; those that come and go meanwhile may or may not be among them. */
  *all(): Generator<InventoryEntry> {
    for (let slot = 1; slot <= this.#highest; slot++) {
      const entry = this.#entry(slot);
      if (entry) yield entry;
    }
  }

  /** The last instant at which a certificate of the pod that is known here is valid. */
  lastNotAfter(uid: string): Temporal.Instant | undefined {
    const [first, ...others] = [...this.ofPod(uid)].map(({ notAfter }) => notAfter);
    return others.reduce(
      (last, one) => last && Temporal.Instant.compare(last, one) > 0 ? last : one,
      first,
    );
  }

  #entry(slot: number): InventoryEntry | undefined {
    const row = this.#rows.get(slot);
    return row === 0 ? undefined : readRow(this.#blocks.read(row));
  }

  #find(serialNumber: string): { slot: number; entry: InventoryEntry } | undefined {
    for (const slot of this.#bySerialNumber.find(serialNumber)) {
      const entry = this.#entry(slot);
      if (entry?.serialNumber === serialNumber) return { slot, entry };
    }
  }

  /** From the first certificate on, for as long as the scheduler lives. */
  #plan(): void {
    if (this.#scheduler.nextRun(jobKey) !== undefined) return;
    const next = () => this.#clock.now().add({ seconds: sweepSeconds });
    const sweep = () => Promise.resolve(this.#sweep() ? next() : this.#clock.now());
    this.#scheduler.schedule(jobKey, next(), sweep);
  }

  /** Removes what expired, a part of it at a time; whether that was all. */
  #sweep(): boolean {
    const now = wholeSeconds(this.#clock.now());
    for (let removals = 0; removals < removalsPerTurn; removals++) {
      const slot = this.#expiring.first(now);
      if (slot === undefined) return true;
      this.#remove(slot);
    }
    return false;
  }

  #remove(slot: number): void {
    this.#bySerialNumber.remove(slot);
    this.#byPod.remove(slot);
    this.#expiring.remove(slot);
    this.#blocks.free(this.#rows.get(slot));
    this.#rows.set(slot, 0);
    this.#free.push(slot);
  }
}
