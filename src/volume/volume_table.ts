import { KeyedLock } from "./keyed_lock.ts";
import type { VolumeRecord } from "./ports.ts";

/** What the driver knows of its volumes, and who works on which. */
export class VolumeTable {
  readonly #records = new Map<string, VolumeRecord>();
  readonly locks = new KeyedLock();

  get(volumeId: string): VolumeRecord | undefined {
    return this.#records.get(volumeId);
  }

  set(record: VolumeRecord): void {
    this.#records.set(record.volumeId, record);
  }

  delete(volumeId: string): void {
    this.#records.delete(volumeId);
  }

  /** A snapshot, safe to hold while the table changes. */
  all(): VolumeRecord[] {
    return [...this.#records.values()];
  }

  /** When the first of the certificates expires; undefined without volumes. */
  get earliestExpiry(): Temporal.Instant | undefined {
    return this.all().map(({ notAfter }) => notAfter).sort(Temporal.Instant.compare)[0];
  }

  get size(): number {
    return this.#records.size;
  }
}
