import { KeyedLock } from "./keyed_lock.ts";
import { ageMs, expiryTime, lifetimeMs } from "../certificates/certificate_terms.ts";
import type { Moment } from "../../shared/scheduler/clock.ts";
import { overdueAgeMs } from "../../shared/x509/overdue_renewal.ts";
import { RequestHistory } from "./request_history.ts";
import type { VolumeRecord } from "./volume_record.ts";

/** The records of this node's volumes, and the lock of each volume. */
export class VolumeTable {
  readonly #records = new Map<string, VolumeRecord>();
  /** Ids of volumes whose record could not be written yet. */
  readonly #unsaved = new Set<string>();
  readonly #onDelete: (record: VolumeRecord) => void;
  readonly locks = new KeyedLock();
  readonly requests = new RequestHistory();

  /** `onDelete` receives the record of each volume that is removed. */
  constructor(onDelete: (record: VolumeRecord) => void = () => {}) {
    this.#onDelete = onDelete;
  }

  get(volumeId: string): VolumeRecord | undefined {
    return this.#records.get(volumeId);
  }

  /** `saved`: whether the store has this record too. */
  set(record: VolumeRecord, { saved } = { saved: true }): void {
    this.#records.set(record.volumeId, record);
    if (saved) this.#unsaved.delete(record.volumeId);
    else this.#unsaved.add(record.volumeId);
  }

  delete(volumeId: string): void {
    const record = this.#records.get(volumeId);
    this.#records.delete(volumeId);
    this.#unsaved.delete(volumeId);
    this.requests.forget(volumeId);
    if (record !== undefined) this.#onDelete(record);
  }

  /** Whether the store has what the table has. */
  isSaved(volumeId: string): boolean {
    return !this.#unsaved.has(volumeId);
  }

  /** A snapshot, which does not change with the table. */
  all(): VolumeRecord[] {
    return [...this.#records.values()];
  }

  /** When the first of the certificates expires, on the node's wall clock; undefined without volumes. */
  earliestExpiry(moment: Moment): Temporal.Instant | undefined {
    return this.all().map((record) => expiryTime(record, moment)).sort(Temporal.Instant.compare)[0];
  }

  /** How many volumes still have a certificate whose renewal was due. */
  overdue(moment: Moment): number {
    return this.all().filter((record) =>
      (ageMs(record, moment) ?? 0) >= overdueAgeMs(lifetimeMs(record))
    ).length;
  }

  get size(): number {
    return this.#records.size;
  }
}
