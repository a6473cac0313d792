import { getLogger } from "@logtape/logtape";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import { later } from "../../shared/scheduler/instants.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { renewalDueAt, type Renewer, type RenewerParts } from "./renewer.ts";
import { isTargetPath } from "./target_path.ts";
import { certificateFacts, checkVolume, type VolumeHealth } from "./volume_health.ts";
import { type UnreadableRecord, volumeLogFields, type VolumeRecord } from "./volume_record.ts";

const logger = getLogger(["csi-driver", "restore"]);
/** The sweep's key; a volume id never starts with a dot. */
const sweepKey = ".sweep";
/** A run that is planned later than due by more than this was planned before the clock stepped back. */
const maxLateness = { minutes: 10 };

/** The outcomes of reconciling the recorded volumes. */
export interface ReconcileCounts {
  /** Unchanged; nothing is issued for them. */
  readonly healthy: number;
  /** To be issued again, or checked again by the sweep. */
  readonly repaired: number;
  /** Removed: volumes of pods that were deleted while the driver was not running. */
  readonly removed: number;
  readonly unreadable: readonly UnreadableRecord[];
}

export type ReconcilerParts =
  & Pick<RenewerParts, "clock" | "scheduler" | "table" | "mounter" | "store" | "writer" | "kubelet">
  & {
    readonly renewer: Renewer;
    /** Between two sweeps. */
    readonly checkInterval: Temporal.Duration;
  };

type ReconcileOutcome = "healthy" | "repaired" | "removed";

/** Compares the records with what is mounted: at start, and by a sweep while the driver runs. */
export class Reconciler implements Disposable {
  readonly #parts: ReconcilerParts;
  #unreadable: readonly UnreadableRecord[] = [];
  #timer: Disposable | undefined;

  constructor(parts: ReconcilerParts) {
    this.#parts = parts;
  }

  /** Reads the records and schedules the renewals; then sweeps at every check interval until disposed. */
  async restore(): Promise<ReconcileCounts> {
    const { store, table } = this.#parts;
    const { records, unreadable } = await store.load();
    for (const { path, problem } of unreadable) {
      // The kubelet's next republish adopts what is mounted, and writes the record again.
      logger.warn("skipped the record {path}: {problem}", { path, problem });
    }
    this.#unreadable = unreadable;
    const counts = { healthy: 0, repaired: 0, removed: 0 };
    for (const record of records) {
      table.set(record);
      counts[await this.#reconcile(record, { trustEmbeddedPublicKey: true })]++;
    }
    this.#removeAbandonedMounts();
    // The first sweep after the start derives each public key from its private key: neither the
    // mounted volumes nor the first calls wait for that.
    const { clock, scheduler } = this.#parts;
    scheduler.schedule(sweepKey, clock.now(), async () => void await this.#reconcileAll());
    this.#setTimer();
    return { ...counts, unreadable };
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
  }

  /** Not at an instant of the wall clock: the sweep itself detects that it stepped back. */
  #setTimer(): void {
    const { clock, scheduler, checkInterval } = this.#parts;
    this.#timer = clock.after(checkInterval.total("milliseconds"), () => {
      this.#setTimer();
      scheduler.schedule(sweepKey, clock.now(), async () => void await this.#sweep());
    });
  }

  /** Repairs broken volumes, corrects every schedule, and removes what the kubelet has given up. */
  async #sweep(): Promise<void> {
    const { store } = this.#parts;
    await this.#reconcileAll();
    this.#removeAbandonedMounts();
    this.#unreadable = this.#unreadable.filter((record) =>
      this.#isInUse(record) || !store.removeUnreadable(record)
    );
  }

  /**
   * Whether the kubelet still has the volume of an unreadable record. Its republish is refused when this driver does not
   * accept the attributes; another version of the driver can read the record again.
   */
  #isInUse({ targetPath = "" }: UnreadableRecord): boolean {
    return isTargetPath(targetPath) && this.#parts.kubelet.hasVolume(targetPath);
  }

  /** Yields after each volume, so that calls are answered meanwhile. */
  async #reconcileAll(): Promise<void> {
    const { table } = this.#parts;
    for (const { volumeId } of table.all()) {
      {
        using lock = table.locks.tryAcquire(volumeId);
        const record = table.get(volumeId);
        if (lock !== undefined && record !== undefined) await this.#reconcile(record);
      }
      await yieldToEventLoop();
    }
  }

  /** A volume that cannot be reconciled affects no other, and does not keep the driver from starting. */
  async #reconcile(
    record: VolumeRecord,
    how = { trustEmbeddedPublicKey: false },
  ): Promise<ReconcileOutcome> {
    try {
      return await this.#reconcileVolume(record, how);
    } catch (error) {
      logger.error("cannot reconcile {namespace}/{pod}, to be tried again: {reason}", {
        ...volumeLogFields(record),
        reason: errorMessage(error),
      });
      return "repaired";
    }
  }

  async #reconcileVolume(
    record: VolumeRecord,
    how: { trustEmbeddedPublicKey: boolean },
  ): Promise<ReconcileOutcome> {
    const { clock, mounter, kubelet, renewer } = this.#parts;
    const now = clock.now();
    const health = await checkVolume(mounter, record, now, how);
    // The kubelet removes its record when it has torn the volume down: then no pod uses it.
    if (!kubelet.hasVolume(record.targetPath) && health.kind !== "foreign") {
      return await this.#remove(record);
    }
    if (health.kind !== "healthy") {
      // At once, however soon its renewal would have been; one that failed keeps its backoff.
      if (renewer.failures(record.volumeId) === 0) renewer.schedule(record, now);
      else this.#ensureRun(record, now);
      return "repaired";
    }
    const recorded = await this.#updateRecord(record, health);
    // Then the clock has stepped back since.
    const isAhead = Temporal.Instant.compare(recorded.issuedAt, now.add(maxClockSkew)) > 0;
    this.#ensureRun(recorded, isAhead ? now : renewalDueAt(recorded));
    return "healthy";
  }

  /** The record, corrected by the mounted certificate: a driver that was killed, or had no disk, may not have written it. */
  async #updateRecord(
    record: VolumeRecord,
    { leaf, contents }: Extract<VolumeHealth, { kind: "healthy" }>,
  ): Promise<VolumeRecord> {
    const { table, writer } = this.#parts;
    const isCurrent = record.serialNumber === leaf.serialNumber;
    if (isCurrent && table.isSaved(record.volumeId)) return record;
    const current = isCurrent ? record : { ...record, ...certificateFacts(leaf) };
    await writer.saveRecord(current, contents.certificatePem);
    return current;
  }

  #ensureRun(record: VolumeRecord, at: Temporal.Instant): void {
    const { clock, scheduler, renewer } = this.#parts;
    const planned = scheduler.nextRun(record.volumeId);
    const latest = later(at, clock.now()).add(maxLateness);
    if (planned !== undefined && Temporal.Instant.compare(planned, latest) <= 0) return;
    renewer.schedule(record, at);
  }

  async #remove(record: VolumeRecord): Promise<ReconcileOutcome> {
    const { mounter, renewer, store, table } = this.#parts;
    const { volumeId, targetPath } = record;
    // Its renewal, if one runs, waits for the lock and does not find the volume when it has it.
    await renewer.cancel(volumeId);
    mounter.unpublish(targetPath);
    await store.remove(record);
    table.delete(volumeId);
    logger.info("removed the volume of {namespace}/{pod}, which the kubelet gave up", {
      ...volumeLogFields(record),
      targetPath,
    });
    return "removed";
  }

  /** Unmounts mounts without a record whose volume the kubelet gave up; one that it has waits for its republish. */
  #removeAbandonedMounts(): void {
    const { kubelet, mounter } = this.#parts;
    for (const targetPath of mounter.mounted()) {
      if (!isTargetPath(targetPath) || kubelet.hasVolume(targetPath)) continue;
      try {
        mounter.unpublish(targetPath);
        logger.info("removed the mount at {targetPath}: the kubelet has no volume there", {
          targetPath,
        });
      } catch (error) {
        const reason = errorMessage(error);
        logger.error("cannot remove the mount at {targetPath}: {reason}", { targetPath, reason });
      }
    }
  }
}
