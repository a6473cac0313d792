import { getLogger } from "@logtape/logtape";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";
import { later } from "../../shared/scheduler/instants.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import type { Renewer, RenewerParts } from "./renewer.ts";
import { parseTargetPath } from "./target_path.ts";
import { checkVolume, type VolumeHealth } from "./volume_health.ts";
import { type UnreadableRecord, volumeLogFields, type VolumeRecord } from "./volume_record.ts";

const logger = getLogger(["csi-driver", "restore"]);
/** The sweep's key; a volume id never starts with a dot. */
const sweepKey = ".sweep";
/** An attempt that is planned later than this after it is due is made at once, whatever it waits for. */
const longestRetryDelay = { minutes: 10 };
/** How often it is verified that the wall clock has not stepped, and a virtual machine has not been paused. */
const stepCheckMs = 60_000;
/** A smaller step changes no certificate's age by an amount that matters. */
const smallestStepMs = 1_000;

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
  #stepTimer: Disposable | undefined;
  /** The wall clock's time at boot, as it was when the renewals were last planned. */
  #wallAtBootMs: number | undefined;

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
    for (const record of records) table.set(record);
    // All at once: of 1,000 volumes, each waits for the disk several times.
    const how = { trustEmbeddedPublicKey: true };
    const outcomes = records.map((record) => this.#reconcile(record, how));
    for (const outcome of await Promise.all(outcomes)) counts[outcome]++;
    await this.#removeAbandonedMounts();
    // The first sweep after the start derives each public key from its private key: neither the
    // mounted volumes nor the first calls wait for that.
    const { scheduler } = this.#parts;
    scheduler.schedule(sweepKey, scheduler.now(), async () => void await this.#reconcileAll());
    this.#setTimer();
    this.#checkForStep();
    return { ...counts, unreadable };
  }

  /** How many records could not be read; one that the next republish has written again no longer counts. */
  get unreadableRecords(): number {
    return this.#unreadable.length;
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#stepTimer?.[Symbol.dispose]();
  }

  #setTimer(): void {
    const { clock, scheduler, checkInterval } = this.#parts;
    this.#timer = clock.after(checkInterval.total("milliseconds"), () => {
      this.#setTimer();
      scheduler.schedule(sweepKey, scheduler.now(), async () => void await this.#sweep());
    });
  }

  /** A step of the wall clock changes the certificates' ages: plans the renewals again. */
  #checkForStep(): void {
    const { clock, table } = this.#parts;
    const { wall, bootMs } = clock.moment();
    const wallAtBootMs = wall.epochMilliseconds - bootMs;
    if (Math.abs(wallAtBootMs - (this.#wallAtBootMs ?? wallAtBootMs)) >= smallestStepMs) {
      for (const record of table.all()) this.#plan(record);
      this.#wallAtBootMs = wallAtBootMs;
    }
    this.#wallAtBootMs ??= wallAtBootMs;
    this.#stepTimer = clock.after(stepCheckMs, () => this.#checkForStep());
  }

  /** Repairs broken volumes, corrects every schedule, and removes what the kubelet has given up. */
  async #sweep(): Promise<void> {
    const { store } = this.#parts;
    await this.#reconcileAll();
    await this.#removeAbandonedMounts();
    const remaining = [];
    for (const record of this.#unreadable) {
      if (!await store.removeUnreadable(record)) remaining.push(record);
    }
    this.#unreadable = remaining;
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
    const { clock, mounter, kubelet, scheduler } = this.#parts;
    const checked = { volume: record, known: record };
    const health = await checkVolume(mounter, checked, clock.moment(), how);
    // The kubelet removes its record when it has torn the volume down: then no pod uses it.
    if (!await kubelet.hasVolume(record.targetPath) && health.kind !== "foreign") {
      return await this.#remove(record);
    }
    if (health.kind !== "healthy") {
      // At once, however soon its renewal would have been; one that failed keeps its backoff.
      this.#ensureRun(record, scheduler.now());
      return "repaired";
    }
    this.#plan(await this.#updateRecord(record, health));
    return "healthy";
  }

  /** The record, corrected by the mounted certificate: a driver that was killed, or had no disk, may not have written it. */
  async #updateRecord(
    record: VolumeRecord,
    { facts, contents }: Extract<VolumeHealth, { kind: "healthy" }>,
  ): Promise<VolumeRecord> {
    const { table, writer } = this.#parts;
    if (facts === record && table.isSaved(record.volumeId)) return record;
    const current = { ...record, ...facts };
    await writer.saveRecord(current, contents.certificatePem);
    return current;
  }

  #plan(record: VolumeRecord): void {
    const { clock, scheduler, renewer } = this.#parts;
    // Then the wall clock has stepped back since: peers whose clock is right refuse the certificate.
    const isAhead = Temporal.Instant.compare(record.issuedAt, clock.now().add(maxClockSkew)) > 0;
    this.#ensureRun(record, isAhead ? scheduler.now() : renewer.dueAt(record));
  }

  /** Plans a run at `at` unless there is one by then; one that failed keeps its backoff. */
  #ensureRun(record: VolumeRecord, at: Temporal.Instant): void {
    const { scheduler, renewer } = this.#parts;
    const isFailing = renewer.failures(record.volumeId) > 0;
    const latest = later(at, scheduler.now()).add(isFailing ? longestRetryDelay : { seconds: 0 });
    renewer.advance(record, at, latest);
  }

  async #remove(record: VolumeRecord): Promise<ReconcileOutcome> {
    const { mounter, renewer, store, table } = this.#parts;
    const { volumeId, targetPath } = record;
    // Its renewal, if one runs, waits for the lock and does not find the volume when it has it.
    await renewer.cancel(volumeId);
    await mounter.unpublish(targetPath);
    await store.remove(record);
    table.delete(volumeId);
    logger.info("removed the volume of {namespace}/{pod}, which the kubelet gave up", {
      ...volumeLogFields(record),
      targetPath,
    });
    return "removed";
  }

  /** Unmounts mounts without a record whose volume the kubelet gave up; one that it has waits for its republish. */
  async #removeAbandonedMounts(): Promise<void> {
    const { kubelet, mounter, table } = this.#parts;
    for (const targetPath of mounter.mounted()) {
      if (parseTargetPath(targetPath) === undefined) continue;
      try {
        if (await kubelet.hasVolume(targetPath)) continue;
        // The kubelet can have made it since: no call publishes there from this check to the removal.
        using lock = table.locks.tryAcquire(targetPath);
        if (lock === undefined || await kubelet.hasVolume(targetPath)) continue;
        await mounter.unpublish(targetPath);
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
