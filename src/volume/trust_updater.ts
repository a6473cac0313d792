import { getLogger } from "@logtape/logtape";
import { trustBundlePem } from "./certificate_source.ts";
import type { Mounter } from "./ports.ts";
import type { VolumeTable } from "./volume_table.ts";
import { placementOf, volumeFiles } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "trust-bundle"]);

/** Writes a new trust bundle into the volumes that are mounted, beside the pair they hold. */
export class TrustUpdater {
  readonly #table: VolumeTable;
  readonly #mounter: Mounter;

  constructor(table: VolumeTable, mounter: Mounter) {
    this.#table = table;
    this.#mounter = mounter;
  }

  /** Returns the number of volumes changed; those that hold this bundle already are left alone. */
  async update(trustBundle: readonly Uint8Array[]): Promise<number> {
    if (trustBundle.length === 0) return 0;
    const bundlePem = trustBundlePem(trustBundle);
    let changed = 0;
    for (const { volumeId } of this.#table.all()) {
      // One that is locked is being written with an answer that carries the bundle itself.
      using lock = this.#table.locks.tryAcquire(volumeId);
      if (lock === undefined) continue;
      if (await this.#updateOne(volumeId, bundlePem)) changed++;
    }
    if (changed > 0) logger.info("wrote a new trust bundle into {changed} volumes", { changed });
    return changed;
  }

  async #updateOne(volumeId: string, trustBundlePem: string): Promise<boolean> {
    const record = this.#table.get(volumeId);
    const placement = record && placementOf(record);
    if (!placement || this.#mounter.state(placement.targetPath) !== "ours") return false;
    const { parsed, targetPath } = placement;
    const read = (name: string) => this.#mounter.read(targetPath, name);
    if (await read(parsed.caFile) === trustBundlePem) return false;
    const certificatePem = await read(parsed.certificateFile);
    const privateKeyPem = await read(parsed.privateKeyFile);
    if (!certificatePem || !privateKeyPem) return false;
    const contents = { certificatePem, privateKeyPem, trustBundlePem };
    await this.#mounter.replace(targetPath, volumeFiles(contents, placement));
    return true;
  }
}
