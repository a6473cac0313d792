import { getLogger } from "@logtape/logtape";
import type { BootClock } from "../../shared/scheduler/clock.ts";
import { later } from "../../shared/scheduler/instants.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type {
  CertificateRequester,
  IssuedPair,
  IssueResult,
} from "../certificates/certificate_requester.ts";
import { lifetimeMs, remainingMs } from "../certificates/certificate_terms.ts";
import {
  holdMs,
  renewalDueInMs,
  renewalRetryDelay,
  renewalSpread,
  requestPauseMs,
} from "../certificates/renewal_time.ts";
import type { KubeletVolumes, Mounter } from "./mounter.ts";
import { checkVolume, type VolumeHealth } from "./volume_health.ts";
import { volumeLogFields, type VolumeRecord, type VolumeStore } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import type { VolumeWriter } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "renewal"]);
/** Another version of the driver published the volume. */
const withoutAttributes =
  "renewed {namespace}/{pod} without the attributes that this driver does not accept: {reason}";
/** While another call has the volume's lock, its renewal is tried again after this. */
const lockedRetryDelay = { seconds: 1 };
/** All nodes receive a new trust bundle at once: their requests reach the service spread over this. */
const soonMs = 60_000;

/** The parts that renewal is composed of. */
export interface RenewerParts {
  readonly clock: BootClock;
  readonly scheduler: Scheduler;
  readonly table: VolumeTable;
  readonly mounter: Mounter;
  readonly store: VolumeStore;
  readonly writer: VolumeWriter;
  readonly requester: Pick<CertificateRequester, "issue">;
  readonly kubelet: KubeletVolumes;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Receives each attempt's outcome. */
  readonly onRenewal: (outcome: "renewed" | "failed") => void;
}

/**
 * Keeps every volume's certificate from expiring, and repairs what was found broken. Its instants are the scheduler's,
 * whose clock does not step.
 */
export class Renewer {
  readonly #parts: RenewerParts;

  constructor(parts: RenewerParts) {
    this.#parts = parts;
  }

  /** Renews the volume when it is due, or at `at`; never sooner after the last request than is permitted. */
  schedule(record: VolumeRecord, at?: Temporal.Instant): void {
    const { volumeId } = record;
    this.#scheduleRun(volumeId, this.#afterPause(volumeId, at ?? this.dueAt(record)));
  }

  /** A certificate was issued and written: plans its renewal. */
  scheduleIssued(record: VolumeRecord): void {
    this.#recordIssued(record);
    this.schedule(record);
  }

  /** When the certificate is due for renewal, whatever was requested before. */
  dueAt(record: VolumeRecord): Temporal.Instant {
    const { clock, scheduler } = this.#parts;
    const spread = renewalSpread(record.volumeId);
    const dueInMs = renewalDueInMs(record, record.parsed.renewBefore, spread, clock.moment());
    return scheduler.now().add({ milliseconds: Math.ceil(dueInMs) });
  }

  /**
   * Renews a volume whose certificate is no longer trusted within a minute, and many such volumes spread over it; also
   * when another request was made just before.
   */
  renewSoon({ volumeId }: VolumeRecord): void {
    const { scheduler, random, table } = this.#parts;
    table.requests.dropHeld(volumeId);
    const at = scheduler.now().add({ milliseconds: Math.round(random() * soonMs) });
    this.#scheduleRun(volumeId, at);
  }

  /** Resolves once no renewal of this volume runs or will run. */
  async cancel(volumeId: string): Promise<void> {
    await this.#parts.scheduler.cancel(volumeId);
  }

  /** How many volumes' last attempt failed. */
  get failing(): number {
    return this.#parts.table.requests.failing.length;
  }

  /** How often the volume's renewal failed since it last succeeded. */
  failures(volumeId: string): number {
    return this.#parts.table.requests.failures(volumeId);
  }

  /** The service answers again: what failed meanwhile is tried again sooner, spread over `spreadMs`. */
  retryFailed(spreadMs: number): void {
    const { scheduler, random, table } = this.#parts;
    for (const volumeId of table.requests.failing) {
      const record = table.get(volumeId);
      const at = scheduler.now().add({ milliseconds: Math.round(random() * spreadMs) });
      if (record) this.advance(record, at);
    }
  }

  /** Renews the volume at `at` unless an attempt is in progress, or planned for `latest` or before. */
  advance(record: VolumeRecord, at: Temporal.Instant, latest = at): void {
    const planned = this.#parts.scheduler.nextRun(record.volumeId);
    if (planned !== undefined && Temporal.Instant.compare(planned, latest) <= 0) return;
    this.schedule(record, at);
  }

  #afterPause(volumeId: string, at: Temporal.Instant): Temporal.Instant {
    return later(at, this.#parts.table.requests.earliestRequest(volumeId) ?? at);
  }

  #scheduleRun(volumeId: string, at: Temporal.Instant): void {
    this.#parts.scheduler.schedule(volumeId, at, (signal) => this.#run(volumeId, signal));
  }

  async #run(volumeId: string, signal: AbortSignal): Promise<Temporal.Instant | undefined> {
    const { clock, table, mounter, kubelet, scheduler } = this.#parts;
    using lock = table.locks.tryAcquire(volumeId);
    if (lock === undefined) return scheduler.now().add(lockedRetryDelay);
    const record = table.get(volumeId);
    if (record === undefined) return undefined;
    try {
      const health = await checkVolume(mounter, { volume: record, known: record }, clock.moment());
      const isLost = health.kind === "absent" && !await kubelet.hasVolume(record.targetPath);
      if (health.kind === "foreign" || isLost) return await this.#abandon(record, health.kind);
      return await this.#renew(record, health, signal);
    } catch (error) {
      signal.throwIfAborted();
      return this.#recordFailure(record, { kind: "unavailable", reason: errorMessage(error) });
    }
  }

  async #renew(
    record: VolumeRecord,
    health: VolumeHealth,
    signal: AbortSignal,
  ): Promise<Temporal.Instant> {
    const { clock, table, writer, onRenewal } = this.#parts;
    const outcome = table.requests.held(record.volumeId) ??
      await this.#request(record, health, signal);
    if (outcome.kind !== "issued") return this.#recordFailure(record, outcome);
    signal.throwIfAborted();
    const waitMs = health.kind === "healthy" ? holdMs(record, outcome.terms, clock.moment()) : 0;
    if (waitMs > 0) return this.#hold(record, outcome, waitMs);
    const renewed = await writer.write(record, outcome, signal);
    this.#recordIssued(renewed);
    onRenewal("renewed");
    const fields = volumeLogFields(renewed);
    logger.info("renewed {namespace}/{pod}", { ...fields, predecessor: record.serialNumber });
    const { rejectionReason: reason } = record;
    if (reason !== undefined) logger.warn(withoutAttributes, { ...fields, reason });
    return this.dueAt(renewed);
  }

  async #request(
    record: VolumeRecord,
    health: VolumeHealth,
    signal: AbortSignal,
  ): Promise<IssueResult> {
    const mounted = "contents" in health ? health.contents : undefined;
    try {
      return await this.#parts.requester.issue({
        ...record,
        predecessor: record.serialNumber,
        // The text of a missing file is empty; then a new key is made.
        privateKeyPem: record.parsed.reusePrivateKey ? mounted?.privateKeyPem : undefined,
      }, signal);
    } finally {
      this.#startPause(record);
    }
  }

  #hold(record: VolumeRecord, pair: IssuedPair, waitMs: number): Temporal.Instant {
    const { scheduler, table } = this.#parts;
    if (table.requests.held(record.volumeId) === undefined) {
      table.requests.hold(record.volumeId, pair);
      logger.warn(
        "the renewed certificate of {namespace}/{pod} is not valid before {notBefore} by this node's clock, " +
          "which is behind: the old one stays until then, or until it has nearly expired",
        { ...volumeLogFields(record), notBefore: String(pair.terms.notBefore) },
      );
    }
    return scheduler.now().add({ milliseconds: Math.ceil(waitMs) });
  }

  /** A request has ended: no further one is made for a while. */
  #startPause(record: VolumeRecord): void {
    const { scheduler, table } = this.#parts;
    const pause = { milliseconds: Math.ceil(requestPauseMs(lifetimeMs(record))) };
    table.requests.setEarliestRequest(record.volumeId, scheduler.now().add(pause));
  }

  #recordIssued(record: VolumeRecord): void {
    this.#parts.table.requests.recordSuccess(record.volumeId);
    this.#startPause(record);
  }

  /** Counts the failed attempt and returns when the next one is made; no other place does either. */
  #recordFailure(
    record: VolumeRecord,
    outcome: Exclude<IssueResult, { kind: "issued" }>,
  ): Temporal.Instant {
    const { clock, random, onRenewal, scheduler, table } = this.#parts;
    const attempt = table.requests.recordFailure(record.volumeId);
    onRenewal("failed");
    const retryAfterMs = outcome.kind === "overloaded"
      ? outcome.retryAfter?.total("milliseconds")
      : undefined;
    const leftMs = remainingMs(record, clock.moment());
    const delayMs = Math.round(renewalRetryDelay(attempt, leftMs, random, retryAfterMs));
    const retryAt = scheduler.now().add({ milliseconds: delayMs });
    const next = this.#afterPause(record.volumeId, retryAt);
    logger.warn("could not renew {namespace}/{pod}, the old certificate stays: {reason}", {
      ...volumeLogFields(record),
      reason: outcome.reason,
      attempt,
      nextAttempt: next.toString(),
    });
    return next;
  }

  /** The volume is not ours any more: its record is removed, what is at the target is left alone. */
  async #abandon(record: VolumeRecord, state: string): Promise<undefined> {
    const { store, table } = this.#parts;
    await store.remove(record);
    table.delete(record.volumeId);
    logger.warn("gave up the volume of {namespace}/{pod}: its target is {state}", {
      ...volumeLogFields(record),
      state,
    });
  }
}
