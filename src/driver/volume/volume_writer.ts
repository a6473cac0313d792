import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { IssuedPair } from "../certificates/certificate_requester.ts";
import type { Mounter } from "./mounter.ts";
import { type VolumeContents, volumeFiles } from "./volume_files.ts";
import {
  type Volume,
  volumeLogFields,
  type VolumeRecord,
  type VolumeStore,
} from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";

const logger = getLogger(["csi-driver", "volume"]);
/** How long a volume that works waits for its record: a busy disk answers within it. */
const saveWaitMs = 10_000;

/** Writes a volume's files where the pod sees them, and its record into the store and the table. */
export class VolumeWriter {
  readonly #mounter: Mounter;
  readonly #store: VolumeStore;
  readonly #table: VolumeTable;
  readonly #clock: Pick<Clock, "after">;
  /** Saves that the disk has not answered in time, and not since. */
  #overdue = 0;

  constructor(parts: {
    readonly mounter: Mounter;
    readonly store: VolumeStore;
    readonly table: VolumeTable;
    readonly clock: Pick<Clock, "after">;
  }) {
    this.#clock = parts.clock;
    this.#mounter = parts.mounter;
    this.#store = parts.store;
    this.#table = parts.table;
  }

  /**
   * Mounts, or swaps the files of what is mounted; rejects with the signal's reason when that is aborted before. Undoes
   * the mount that it made when the record cannot be saved.
   */
  async write(volume: Volume, issued: IssuedPair, signal: AbortSignal): Promise<VolumeRecord> {
    const { terms, leaf: { serialNumber } } = issued;
    const record: VolumeRecord = { ...volume, ...terms, serialNumber };
    const files = volumeFiles(volume, issued);
    const { targetPath } = volume;
    // The call may have ended meanwhile; then the kubelet would not remove the volume.
    signal.throwIfAborted();
    if (await this.#mounter.state(targetPath) === "ours") {
      await this.#mounter.replace(targetPath, files);
      await this.saveRecord(record, issued.certificatePem);
      return record;
    }
    await using undo = new AsyncDisposableStack();
    await this.#mounter.publish(targetPath, files, signal);
    undo.defer(() => this.#mounter.unpublish(targetPath));
    await this.#store.save(record, issued.certificatePem);
    undo.move();
    this.#table.set(record);
    return record;
  }

  /** Swaps the files of a mounted volume; its record remains as it is. */
  async replaceFiles(volume: Volume, contents: VolumeContents): Promise<void> {
    await this.#mounter.replace(volume.targetPath, volumeFiles(volume, contents));
  }

  /**
   * Saves the record of a volume that is mounted already. A disk that cannot store the record is no reason to fail a
   * volume that works, nor to wait for it: the sweep tries again, and a restart meanwhile reads the certificate from the
   * mount itself.
   */
  async saveRecord(record: VolumeRecord, certificatePem: string): Promise<void> {
    let saved = true;
    try {
      await this.#saveInTime(record, certificatePem);
    } catch (error) {
      saved = false;
      logger.error(
        "the record of {namespace}/{pod} cannot be written, to be tried again: {reason}",
        { ...volumeLogFields(record), reason: errorMessage(error) },
      );
    }
    this.#table.set(record, { saved });
  }

  async #saveInTime(record: VolumeRecord, certificatePem: string): Promise<void> {
    // One save waits for a disk that does not answer, not one for each volume.
    if (this.#overdue > 0) throw new Error("the disk of CERT_BASE_PATH does not answer");
    const saving = this.#store.save(record, certificatePem);
    const overdue = Promise.withResolvers<never>();
    using _timer = this.#clock.after(saveWaitMs, () => {
      this.#overdue++;
      const onAnswer = () => void this.#overdue--;
      saving.then(onAnswer, onAnswer);
      const seconds = saveWaitMs / 1000;
      overdue.reject(new Error(`the disk of CERT_BASE_PATH has not answered for ${seconds} s`));
    });
    await Promise.race([saving, overdue.promise]);
  }
}
