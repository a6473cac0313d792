import { getLogger } from "@logtape/logtape";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
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

/** Writes a volume's files where the pod sees them, and its record into the store and the table. */
export class VolumeWriter {
  readonly #mounter: Mounter;
  readonly #store: VolumeStore;
  readonly #table: VolumeTable;
  /** A mount blocks the event loop, for milliseconds on a node full of them. */
  readonly #eventLoop = new EventLoopLimiter();

  constructor(parts: { mounter: Mounter; store: VolumeStore; table: VolumeTable }) {
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
    await this.#eventLoop.acquire();
    // The call may have ended meanwhile; then the kubelet would not remove the volume.
    signal.throwIfAborted();
    if (this.#mounter.state(targetPath) === "ours") {
      this.#mounter.replace(targetPath, files);
      await this.saveRecord(record, issued.certificatePem);
      return record;
    }
    using undo = new DisposableStack();
    this.#mounter.publish(targetPath, files);
    undo.defer(() => this.#mounter.unpublish(targetPath));
    await this.#store.save(record, issued.certificatePem);
    undo.move();
    this.#table.set(record);
    return record;
  }

  /** Swaps the files of a mounted volume; its record remains as it is. */
  replaceFiles(volume: Volume, contents: VolumeContents): void {
    this.#mounter.replace(volume.targetPath, volumeFiles(volume, contents));
  }

  /**
   * Saves the record of a volume that is mounted already. A disk that cannot store the record is no reason to fail a
   * volume that works: the sweep tries again, and a restart meanwhile reads the certificate from the mount itself.
   */
  async saveRecord(record: VolumeRecord, certificatePem: string): Promise<void> {
    let saved = true;
    try {
      await this.#store.save(record, certificatePem);
    } catch (error) {
      saved = false;
      logger.error(
        "the record of {namespace}/{pod} cannot be written, to be tried again: {reason}",
        { ...volumeLogFields(record), reason: errorMessage(error) },
      );
    }
    this.#table.set(record, { saved });
  }
}
