import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { readCertificate, readCertificates } from "../../shared/x509/certificate.ts";
import { verifyChain } from "../../shared/x509/chain.ts";
import { trustBundlePem } from "../certificates/certificate_requester.ts";
import type { Mounter } from "./mounter.ts";
import { readContents, type VolumeContents } from "./volume_files.ts";
import { volumeLogFields, type VolumeRecord } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import type { VolumeWriter } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "trust-bundle"]);
/** The scheduler's key; a volume id never starts with a dot. */
const roundKey = ".trust-bundle";
/** A volume that another call has locked is tried again after this. */
const lockedRetryMs = 1_000;

/** Longer than any certificate is valid. */
const ignoreValidity = Temporal.Duration.from({ hours: 24 * 365 * 100 });

interface MountedVolume {
  readonly record: VolumeRecord;
  readonly contents: VolumeContents;
}

export interface TrustBundleUpdaterParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly table: VolumeTable;
  readonly mounter: Mounter;
  readonly writer: VolumeWriter;
  /** Between two checks of all volumes. */
  readonly checkInterval: Temporal.Duration;
  /** Receives a volume whose certificate does not verify with the new bundle: peers refuse it from now on. */
  readonly onUntrusted: (record: VolumeRecord) => void;
}

/** Keeps the trust bundle of every mounted volume equal to the service's latest, and does not change its pair. */
export class TrustBundleUpdater implements Disposable {
  readonly #parts: TrustBundleUpdaterParts;
  #bundlePem: string | undefined;
  /** The volumes that were reported as untrusted, and with which bundle. */
  #reported = { bundlePem: "", volumeIds: new Set<string>() };
  #timer: Disposable | undefined;

  constructor(parts: TrustBundleUpdaterParts) {
    this.#parts = parts;
  }

  /**
   * Writes this bundle into every volume that has another one. A volume that cannot be written now, or that is adopted
   * later with an older bundle, gets it as soon as possible.
   */
  async update(trustBundle: readonly Uint8Array[]): Promise<void> {
    if (trustBundle.length === 0) return;
    if (trustBundle.some((der) => readCertificate(der) === undefined)) {
      logger.error(
        "the service's new trust bundle contains something that is not a certificate: the volumes " +
          "keep the bundle that they have; look at the service's CA",
      );
      return;
    }
    const bundlePem = trustBundlePem(trustBundle);
    this.#bundlePem = bundlePem;
    // Volumes that have it already are verified with it too, because a restart forgot the result.
    await this.#updateVolumes(bundlePem, { verifyAll: true });
  }

  /** The service is not watched any more: an answer to a request may contain a newer bundle, which has to remain. */
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
      scheduler.schedule(roundKey, scheduler.now(), async () => {
        const bundlePem = this.#bundlePem;
        if (bundlePem !== undefined) await this.#updateVolumes(bundlePem, { verifyAll: false });
        return undefined;
      });
    });
  }

  /** Plans the next round; ends early when the bundle is not the current one any more. */
  async #updateVolumes(bundlePem: string, { verifyAll }: { verifyAll: boolean }): Promise<void> {
    const { table, checkInterval } = this.#parts;
    let changed = 0;
    let nextMs = checkInterval.total("milliseconds");
    for (const { volumeId } of table.all()) {
      // A node full of pods answers its kubelet meanwhile.
      await yieldToEventLoop();
      // A newer bundle has a round of its own, and what that wrote has to remain.
      if (bundlePem !== this.#bundlePem) break;
      const outcome = await this.#updateVolume(volumeId, bundlePem);
      // What is being written may be an answer from before this bundle, or no answer at all.
      if (outcome === "locked") nextMs = lockedRetryMs;
      if (outcome === "changed") changed++;
      if (outcome === "changed" || verifyAll) await this.#reportIfUntrusted(volumeId, bundlePem);
    }
    if (changed > 0) logger.info("wrote a new trust bundle into {changed} volumes", { changed });
    if (bundlePem === this.#bundlePem) this.#setTimer(nextMs);
  }

  /** A volume that cannot be read or written does not keep the others from the bundle. */
  async #updateVolume(
    volumeId: string,
    trustBundlePem: string,
  ): Promise<"changed" | "unchanged" | "locked"> {
    const { table, writer } = this.#parts;
    const isCurrent = (mounted: MountedVolume | undefined) =>
      mounted === undefined || mounted.contents.trustBundlePem === trustBundlePem;
    if (isCurrent(await this.#readMounted(volumeId))) return "unchanged";
    using lock = table.locks.tryAcquire(volumeId);
    if (lock === undefined) return "locked";
    // Read again with the lock: another call can have written the volume meanwhile.
    const mounted = await this.#readMounted(volumeId);
    if (mounted === undefined || isCurrent(mounted)) return "unchanged";
    // A newer bundle can have arrived meanwhile, and its round can have written this volume before the lock was acquired.
    if (trustBundlePem !== this.#bundlePem) return "locked";
    try {
      await writer.replaceFiles(mounted.record, { ...mounted.contents, trustBundlePem });
      table.requests.replaceHeldBundle(volumeId, trustBundlePem);
      return "changed";
    } catch (error) {
      logger.error("could not write the trust bundle into the volume of {namespace}/{pod}", {
        ...volumeLogFields(mounted.record),
        error,
      });
      return "unchanged";
    }
  }

  async #reportIfUntrusted(volumeId: string, bundlePem: string): Promise<void> {
    const { clock, onUntrusted } = this.#parts;
    const mounted = await this.#readMounted(volumeId);
    const chain = readCertificates(mounted?.contents.certificatePem ?? "") ?? [];
    // The sweep repairs what cannot be read.
    if (mounted === undefined || chain.length === 0) return;
    const anchors = readCertificates(bundlePem) ?? [];
    // Verified with the bundle alone, without the dates: what expires is renewed anyway.
    const verdict = await verifyChain(chain, anchors, clock.now(), ignoreValidity);
    if (verdict.kind === "verified") return;
    // Once for each bundle: a renewal that fails, or leads to no trusted certificate, keeps its backoff.
    if (this.#reported.bundlePem !== bundlePem) {
      this.#reported = { bundlePem, volumeIds: new Set() };
    }
    if (this.#reported.volumeIds.has(volumeId)) return;
    this.#reported.volumeIds.add(volumeId);
    onUntrusted(mounted.record);
  }

  /** Undefined unless the volume can be read, and has a certificate and a key: the sweep reports and repairs the others. */
  async #readMounted(volumeId: string): Promise<MountedVolume | undefined> {
    const { mounter, table } = this.#parts;
    const record = table.get(volumeId);
    if (record === undefined) return undefined;
    const contents = await readContents(mounter, record).catch(() => undefined);
    return contents?.certificatePem && contents.privateKeyPem ? { record, contents } : undefined;
  }
}
