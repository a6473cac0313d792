import { KeyedLock } from "./keyed_lock.ts";
import { expiryTime } from "../certificates/certificate_terms.ts";
import type { Moment } from "../../shared/scheduler/clock.ts";
import { RequestHistory } from "./request_history.ts";
import type { VolumeRecord } from "./volume_record.ts";

/** The records of this node's volumes, and the lock of each volume. */
export class VolumeTable {
  readonly #records = new Map<string, VolumeRecord>();
  /** Ids of volumes whose record could not be written yet. */
  readonly #unsaved = new Set<string>();
  readonly locks = new KeyedLock();
  readonly requests = new RequestHistory();

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
    this.#records.delete(volumeId);
    this.#unsaved.delete(volumeId);
    this.requests.forget(volumeId);
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

  get size(): number {
    return this.#records.size;
  }
}
