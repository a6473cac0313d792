import { getLogger } from "@logtape/logtape";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
import type { IssuedPair } from "../certificates/certificate_requester.ts";
import type { Mounter } from "./mounter.ts";
import { volumeFiles, type VolumePlacement } from "./volume_files.ts";
import type { IssuedFields } from "./volume_health.ts";
import type { VolumeRecord, VolumeStore } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

const logger = getLogger(["csi-driver", "volume"]);

/** Puts an issued certificate where the pod sees it, and its record into the store and the table. */
export class VolumeWriter {
  readonly #mounter: Mounter;
  readonly #store: VolumeStore;
  readonly #table: VolumeTable;
  /** A mount blocks the event loop, for milliseconds on a node full of them. */
  readonly #turns = new EventLoopLimiter();

  constructor(parts: { mounter: Mounter; store: VolumeStore; table: VolumeTable }) {
    this.#mounter = parts.mounter;
    this.#store = parts.store;
    this.#table = parts.table;
  }

  /** Mounts, or swaps the files of what is mounted. Undoes the mount it made when the record fails. */
  async write(
    volume: Omit<VolumeRecord, IssuedFields>,
    issued: IssuedPair,
    placement: VolumePlacement,
  ) {
    const { issuedAt, leaf } = issued;
    const { serialNumber, notAfter } = leaf;
    const record: VolumeRecord = { ...volume, issuedAt, serialNumber, notAfter };
    const files = volumeFiles(issued, placement);
    await this.#turns.acquire();
    if (this.#mounter.state(record.targetPath) === "ours") {
      await this.#mounter.replace(record.targetPath, files);
      await this.record(record, issued.certificatePem);
      return record;
    }
    await using undo = new AsyncDisposableStack();
    await this.#mounter.publish(record.targetPath, files);
    undo.defer(() => this.#mounter.unpublish(record.targetPath));
    await this.#store.save(record, issued.certificatePem);
    undo.move();
    this.#table.set(record);
    return record;
  }

  /**
   * Records what is mounted already. A disk that cannot take the record is no reason to fail a volume that works: the
   * sweep tries again, and a restart meanwhile learns of the certificate from the mount itself.
   */
  async record(record: VolumeRecord, certificatePem: string): Promise<void> {
    let saved = true;
    try {
      await this.#store.save(record, certificatePem);
    } catch (error) {
      saved = false;
      const { pod, volumeId } = record;
      logger.error(
        "the record of {namespace}/{pod} cannot be written, to be tried again: {reason}",
        {
          namespace: pod.namespace,
          pod: pod.name,
          volumeId,
          reason: errorMessage(error),
        },
      );
    }
    this.#table.set(record, { saved });
  }
}
