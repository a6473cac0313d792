/**
 * This folder lists the certificates that volumes have now: those that this process issued, and
 * those that drivers report. Its main types are `Inventory`, `InventoryEntry` and
 * `CertificateReports`. The list is a table of SQLite in memory. No decision to issue depends on it.
 * It never replaces an entry that this process issued by a reported one.
 */

import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { estimatedBytes, rowEntry, type RowState, wholeSeconds } from "./certificate_row.ts";
import { CertificateTable, mostExpired, type PodRow, type RowSize } from "./certificate_table.ts";
import type { InventoryEntry, InventoryFilter, StoredEntry } from "./inventory_entry.ts";
import { InventoryUsage, type Usage } from "./inventory_usage.ts";

/** How much the inventory holds at most. Bytes are estimated from the length of the names. */
export interface InventoryLimits {
  readonly total: Usage;
  /** So that no node can remove the entries of all others by adding its own. */
  readonly node: Usage;
  /** More than a pod has volumes with certificates. All rows of a pod are read when one is added. */
  readonly podCertificates: number;
}

const mebi = 2 ** 20;

/** Half of the memory that the manifest permits; it is full of about 600,000 entries with usual names. */
const defaultLimits: InventoryLimits = {
  total: { certificates: 1_000_000, bytes: 512 * mebi },
  node: { certificates: 10_000, bytes: 16 * mebi },
  podCertificates: 100,
};

const jobKey = "inventory-expiry";
const sweepSeconds = 60;

/** The current certificate of each volume, as far as this process signed it or a driver reported it. */
export class Inventory implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #scheduler: Scheduler;
  readonly #limits: InventoryLimits;
  readonly #table = new CertificateTable();
  readonly #usage = new InventoryUsage();
  #isClosed = false;

  constructor(
    options: { clock: Clock; scheduler: Scheduler; limits?: Partial<InventoryLimits> },
  ) {
    this.#clock = options.clock;
    this.#scheduler = options.scheduler;
    this.#limits = { ...defaultLimits, ...options.limits };
  }

  get size(): number {
    return this.#usage.total.certificates;
  }

  /**
   * Adds a certificate in place of the volume's former one. A reported certificate replaces only
   * what the same node reported; it is not added when this certificate or a newer one of the volume
   * is known. Over a limit of its node the oldest entry of that node is removed, over one of the whole
   * inventory the entry that expires first; over the limit of its pod the oldest entry that was
   * reported (for a report, by the same node), or else the oldest one.
   */
  add(entry: InventoryEntry): void {
    if (this.#isClosed) return;
    const ofPod = this.#table.ofPod(entry.pod.uid);
    if (entry.origin === "reported" && this.#isSuperseded(entry, ofPod)) return;
    const replaced = ofPod.filter((row) => isReplaced(row, entry));
    this.#write(entry, replaced);
    if (ofPod.length >= this.#limits.podCertificates) this.#removeExcessOfPod(entry);
    this.#removeExcess(entry.node);
    this.#scheduleSweep();
  }

  get(serialNumber: string): StoredEntry | undefined {
    const row = this.#table.find(serialNumber);
    return row && rowEntry(row);
  }

  /** The current certificate of a volume whose former certificate had this serial number. */
  successorOf(serialNumber: string): StoredEntry | undefined {
    const row = this.#table.findSuccessor(serialNumber);
    return row && rowEntry(row);
  }

  /**
   * The entries that match, in the order of their pods' namespaces, names and uids, in pages between which other work
   * runs. A volume whose certificate is replaced meanwhile is among them.
   */
  pages(filter: InventoryFilter = {}): AsyncGenerator<StoredEntry[]> {
    return this.#table.search.pages(filter, this.#clock.now());
  }

  /** How many certificates of a node are in the inventory. */
  ofNode(node: string): number {
    return this.#usage.ofNode(node).certificates;
  }

  /**
   * A complete report: lists the node's volumes that are given, and releases the others, except
   * those with a certificate that was issued after `issuedUntil`.
   */
  async listVolumes(
    node: string,
    volumeIds: ReadonlySet<string>,
    issuedUntil: Temporal.Instant,
  ): Promise<void> {
    if (this.#isClosed) return;
    const notBefore = wholeSeconds(issuedUntil.subtract(maxClockSkew));
    await this.#table.volumes.list(node, volumeIds, notBefore);
  }

  /** A volume was unpublished: releases it if this is its current certificate, reported by its own node. */
  releaseVolume(node: string, volumeId: string, serialNumber: string): void {
    if (!this.#isClosed) this.#table.volumes.release(node, volumeId, serialNumber);
  }

  /** A node that reports no longer: its certificates are removed when they have expired. */
  async forgetVolumes(node: string): Promise<void> {
    if (!this.#isClosed) await this.#table.volumes.forget(node);
  }

  /** Ends the removal of expired entries and frees the memory; `add` does nothing from now on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#scheduler.cancel(jobKey);
    this.#table[Symbol.dispose]();
  }

  #isSuperseded({ serialNumber, volumeId, node, notBefore }: InventoryEntry, ofPod: PodRow[]) {
    return this.#table.find(serialNumber) !== undefined ||
      this.#table.findSuccessor(serialNumber) !== undefined ||
      ofPod.some((row) =>
        row.volume_id === volumeId && row.not_before > wholeSeconds(notBefore) &&
        (row.origin === "issued" || row.node === (node ?? null))
      );
  }

  /** Writes an entry into a row that it replaces, or into a new one, and removes the others. */
  #write(entry: InventoryEntry, replaced: readonly PodRow[]): void {
    const state = stateOf(entry, replaced);
    const bytes = estimatedBytes(entry);
    const reused = replaced.find((row) => isSameVolume(row, entry));
    for (const row of replaced) if (row !== reused) this.#remove(row);
    const write = () =>
      reused
        ? this.#table.update(reused.id, entry, state, bytes)
        : this.#table.insert(entry, state, bytes);
    if (!write()) {
      this.#remove(this.#table.find(entry.serialNumber)!);
      write();
    }
    if (reused) this.#usage.remove(entry.node, reused.bytes);
    this.#usage.add(entry.node, bytes);
  }

  #remove({ id, node, bytes }: RowSize): void {
    this.#table.remove(id);
    this.#usage.remove(node ?? undefined, bytes);
  }

  /** No node can remove the entries of another node's pod by reporting certificates for that pod. */
  #removeExcessOfPod({ origin, pod, node }: InventoryEntry): void {
    const ofPod = this.#table.ofPod(pod.uid);
    if (ofPod.length <= this.#limits.podCertificates) return;
    const oldestReported = ofPod.find((row) =>
      row.origin === "reported" && (origin === "issued" || row.node === (node ?? null))
    );
    this.#remove(oldestReported ?? ofPod[0]!);
  }

  /** Removes what is over the limits of the node and of the whole inventory. */
  #removeExcess(node: string | undefined): void {
    const { total, node: ofNode } = this.#limits;
    while (node !== undefined && isOver(this.#usage.ofNode(node), ofNode)) {
      this.#remove(this.#table.oldestOfNode(node)!);
    }
    while (isOver(this.#usage.total, total)) this.#remove(this.#table.firstToExpire()!);
  }

  /** From the first certificate on, for as long as the scheduler lives. */
  #scheduleSweep(): void {
    if (this.#scheduler.nextRun(jobKey) !== undefined) return;
    const next = () => this.#clock.now().add({ seconds: sweepSeconds });
    const sweep = () => Promise.resolve(this.#sweep() ? next() : this.#clock.now());
    this.#scheduler.schedule(jobKey, next(), sweep);
  }

  /** Removes a part of what has expired; whether that was all. */
  #sweep(): boolean {
    const expired = this.#table.expired(wholeSeconds(this.#clock.now()));
    for (const row of expired) this.#remove(row);
    return expired.length < mostExpired;
  }
}

/** What the row of an entry has beside it, given the rows that it replaces. */
function stateOf(
  { predecessor }: InventoryEntry,
  replaced: readonly PodRow[],
): RowState {
  return {
    isPredecessorKnown: replaced.some((row) =>
      row.serial_number === predecessor ||
      // The driver did not receive the certificate that is replaced: it renews the one before.
      row.predecessor_known === 1 && row.predecessor === predecessor
    ),
  };
}

/** Whether the columns that identify a volume are equal; callers that are not authenticated may lie. */
function isSameVolume(row: PodRow, { pod, node }: InventoryEntry): boolean {
  return row.namespace === pod.namespace && row.pod_name === pod.name &&
    row.node === (node ?? null);
}

/** Whether an entry that is added replaces a row of its pod. */
function isReplaced(row: PodRow, { origin, volumeId, node }: InventoryEntry): boolean {
  return row.volume_id === volumeId &&
    (origin === "issued" || row.origin === "reported" && row.node === (node ?? null));
}

function isOver({ certificates, bytes }: Usage, limit: Usage): boolean {
  return certificates > limit.certificates || bytes > limit.bytes;
}
