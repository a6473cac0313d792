import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import { verifyChain } from "../../shared/x509/chain.ts";
import { trustBundlePem } from "../certificates/certificate_requester.ts";
import type { Mounter } from "./mounter.ts";
import type { VolumeRecord } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import { placementOf, volumeFiles, type VolumePlacement } from "./volume_files.ts";

const logger = getLogger(["csi-driver", "trust-bundle"]);
/** The scheduler's key; a volume id never starts with a dot. */
const roundKey = ".trust-bundle";
/** A volume whose lock is held is tried again after this. */
const lockedRetryMs = 1_000;

/** Longer than any certificate lives. */
const ignoreValidity = Temporal.Duration.from({ hours: 24 * 365 * 100 });

export interface TrustBundleUpdaterParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly table: VolumeTable;
  readonly mounter: Mounter;
  /** Between two looks at all volumes. */
  readonly checkInterval: Temporal.Duration;
  /** Receives a volume whose certificate does not verify with the new bundle: peers refuse it from now on. */
  readonly onUntrusted: (record: VolumeRecord) => void;
}

/** Keeps the trust bundle of every mounted volume equal to the service's latest, and leaves its pair as it is. */
export class TrustBundleUpdater implements Disposable {
  readonly #parts: TrustBundleUpdaterParts;
  #bundlePem: string | undefined;
  #timer: Disposable | undefined;

  constructor(parts: TrustBundleUpdaterParts) {
    this.#parts = parts;
  }

  /**
   * Returns the number of volumes changed; those that hold this bundle already are left alone. A volume that cannot be
   * written now, or that is adopted later with an older bundle, gets it as soon as possible.
   */
  async update(trustBundle: readonly Uint8Array[]): Promise<number> {
    if (trustBundle.length === 0) return 0;
    const bundlePem = trustBundlePem(trustBundle);
    this.#bundlePem = bundlePem;
    return await this.#updateVolumes(bundlePem, true);
  }

  /** The service is not followed any more: an answer to a request may contain a newer bundle, which has to stay. */
  disconnected(): void {
    this.#bundlePem = undefined;
  }

  [Symbol.dispose](): void {
    this.disconnected();
    this.#timer?.[Symbol.dispose]();
  }

  /** Not by an instant of the wall clock, which may step back meanwhile. */
  #setTimer(ms: number): void {
    const { clock, scheduler } = this.#parts;
    this.#timer?.[Symbol.dispose]();
    this.#timer = clock.after(ms, () => {
      scheduler.schedule(roundKey, clock.now(), async () => {
        if (this.#bundlePem !== undefined) await this.#updateVolumes(this.#bundlePem);
        return undefined;
      });
    });
  }

  /**
   * Returns the number of volumes changed, and plans the next round; ends early when the bundle is not the current one
   * any more. With `isFirst`, volumes that hold it already are verified with it too, because a restart forgot the result.
   */
  async #updateVolumes(bundlePem: string, isFirst = false): Promise<number> {
    const { table, checkInterval } = this.#parts;
    let changed = 0;
    let nextMs = checkInterval.total("milliseconds");
    for (const { volumeId } of table.all()) {
      // Checked before it is locked, so that the sweep, which runs at the same time, can lock it.
      const isStale = await this.#isStale(volumeId, bundlePem);
      // A newer bundle has a round of its own, and what that wrote has to stay.
      if (bundlePem !== this.#bundlePem) break;
      if (!isStale) {
        if (isFirst) await this.#reportIfUntrusted(volumeId, bundlePem);
        continue;
      }
      using lock = table.locks.tryAcquire(volumeId);
      // What is being written may be an answer from before this bundle, or no answer at all.
      if (lock === undefined) nextMs = lockedRetryMs;
      else if (await this.#write(volumeId, bundlePem)) changed++;
    }
    if (changed > 0) logger.info("wrote a new trust bundle into {changed} volumes", { changed });
    if (bundlePem === this.#bundlePem) this.#setTimer(nextMs);
    return changed;
  }

  async #isStale(volumeId: string, bundlePem: string): Promise<boolean> {
    const placement = this.#placementOf(volumeId);
    if (placement === undefined) return false;
    const { targetPath, parsed } = placement;
    return await this.#parts.mounter.read(targetPath, parsed.caFile) !== bundlePem;
  }

  /** Whether the volume was changed; one that cannot be written does not keep the others from it. */
  async #write(volumeId: string, trustBundlePem: string): Promise<boolean> {
    const placement = this.#placementOf(volumeId);
    if (placement === undefined) return false;
    const { targetPath, parsed } = placement;
    const { mounter } = this.#parts;
    try {
      const names = [parsed.certificateFile, parsed.privateKeyFile];
      const [certificatePem, privateKeyPem] = await mounter.readAll(targetPath, names);
      if (!certificatePem || !privateKeyPem) return false;
      const contents = { certificatePem, privateKeyPem, trustBundlePem };
      await mounter.replace(targetPath, volumeFiles(contents, placement));
      await this.#reportIfUntrusted(volumeId, trustBundlePem);
      return true;
    } catch (error) {
      logger.error("could not write the trust bundle into volume {volumeId}", { volumeId, error });
      return false;
    }
  }

  async #reportIfUntrusted(volumeId: string, bundlePem: string): Promise<void> {
    const { mounter, table, clock, onUntrusted } = this.#parts;
    const placement = this.#placementOf(volumeId);
    const text = placement &&
      await mounter.read(placement.targetPath, placement.parsed.certificateFile);
    const chain = readCertificates(text ?? "") ?? [];
    const record = table.get(volumeId);
    // The sweep repairs what cannot be read.
    if (record === undefined || chain.length === 0) return;
    const anchors = readCertificates(bundlePem) ?? [];
    // Verified with the bundle alone, without the dates: what expires is renewed anyway.
    const verdict = await verifyChain(chain, anchors, clock.now(), ignoreValidity);
    if (verdict.kind === "refused") onUntrusted(record);
  }

  /** Undefined unless the volume is mounted. */
  #placementOf(volumeId: string): VolumePlacement | undefined {
    const { mounter, table } = this.#parts;
    const record = table.get(volumeId);
    const placement = record && placementOf(record);
    return placement && mounter.state(placement.targetPath) === "ours" ? placement : undefined;
  }
}
