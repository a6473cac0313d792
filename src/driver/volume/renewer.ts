import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { later } from "../../shared/scheduler/instants.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { CertificateRequester, IssueResult } from "../certificates/certificate_requester.ts";
import {
  minimumRenewalAge,
  renewalRetryDelay,
  renewalSpread,
  renewalTime,
} from "../certificates/renewal_time.ts";
import type { KubeletVolumes, Mounter } from "./mounter.ts";
import { checkVolume, type VolumeHealth } from "./volume_health.ts";
import { volumeLogFields, type VolumeRecord, type VolumeStore } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import type { VolumeWriter } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "renewal"]);
/** While another call has the volume's lock, its renewal is tried again after this. */
const lockedRetryDelay = { seconds: 1 };

/** All nodes receive a new trust bundle at once: their requests reach the service spread over this. */
const soonMs = 60_000;

/** The parts that renewal is composed of. */
export interface RenewerParts {
  readonly clock: Clock;
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

/** Keeps every volume's certificate from expiring, and repairs what was found broken. */
export class Renewer {
  readonly #parts: RenewerParts;
  /** Failed attempts since the last success, by volume id. */
  readonly #failures = new Map<string, number>();

  constructor(parts: RenewerParts) {
    this.#parts = parts;
  }

  /** Renews the volume when it is due, or at `at`. */
  schedule(record: VolumeRecord, at?: Temporal.Instant): void {
    const { volumeId } = record;
    this.#failures.delete(volumeId);
    this.#parts.scheduler.schedule(
      volumeId,
      at ?? renewalDueAt(record),
      (signal) => this.#run(volumeId, signal),
    );
  }

  /** Renews the volume within a minute, and many such volumes spread over it. */
  renewSoon(record: VolumeRecord): void {
    const { clock, random } = this.#parts;
    this.schedule(record, clock.now().add({ milliseconds: Math.round(random() * soonMs) }));
  }

  /** Resolves once no renewal of this volume runs or will run. */
  async cancel(volumeId: string): Promise<void> {
    await this.#parts.scheduler.cancel(volumeId);
    this.#failures.delete(volumeId);
  }

  /** How many volumes' last attempt failed. */
  get failing(): number {
    return this.#failures.size;
  }

  /** How often the volume's renewal failed since it last succeeded. */
  failures(volumeId: string): number {
    return this.#failures.get(volumeId) ?? 0;
  }

  /** The service answers again: what failed meanwhile is tried again now, spread over `spreadMs`. */
  retryFailed(spreadMs: number): void {
    const { clock, random, table } = this.#parts;
    for (const volumeId of [...this.#failures.keys()]) {
      const record = table.get(volumeId);
      const delay = Math.round(random() * spreadMs);
      if (record) this.schedule(record, clock.now().add({ milliseconds: delay }));
    }
  }

  async #run(volumeId: string, signal: AbortSignal): Promise<Temporal.Instant | undefined> {
    const { clock, table, mounter, kubelet } = this.#parts;
    using lock = table.locks.tryAcquire(volumeId);
    if (lock === undefined) return clock.now().add(lockedRetryDelay);
    const record = table.get(volumeId);
    if (record === undefined) return undefined;
    try {
      const health = await checkVolume(mounter, record, clock.now());
      const isLost = health.kind === "absent" && !kubelet.hasVolume(record.targetPath);
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
    const { clock, requester, writer, onRenewal } = this.#parts;
    const mounted = "contents" in health ? health.contents : undefined;
    const outcome = await requester.issue({
      ...record,
      predecessor: record.serialNumber,
      // The text of a missing file is empty; then a new key is made.
      privateKeyPem: record.parsed.reusePrivateKey ? mounted?.privateKeyPem : undefined,
    }, signal);
    if (outcome.kind !== "issued") return this.#recordFailure(record, outcome);
    const renewed = await writer.write(record, outcome, signal);
    this.#failures.delete(record.volumeId);
    onRenewal("renewed");
    logger.info("renewed {namespace}/{pod}", {
      ...volumeLogFields(renewed),
      predecessor: record.serialNumber,
    });
    const lifetimeMs = renewed.notAfter.epochMilliseconds - renewed.issuedAt.epochMilliseconds;
    const soonest = clock.now().add({ milliseconds: Math.ceil(minimumRenewalAge(lifetimeMs)) });
    return later(renewalDueAt(renewed), soonest);
  }

  /** Counts the failed attempt and returns when the next one is made; no other place does either. */
  #recordFailure(
    record: VolumeRecord,
    outcome: Exclude<IssueResult, { kind: "issued" }>,
  ): Temporal.Instant {
    const { clock, random, onRenewal } = this.#parts;
    const attempt = this.failures(record.volumeId) + 1;
    this.#failures.set(record.volumeId, attempt);
    onRenewal("failed");
    const now = clock.now();
    const remainingMs = record.notAfter.epochMilliseconds - now.epochMilliseconds;
    const retryAfterMs = outcome.kind === "overloaded"
      ? outcome.retryAfter?.total("milliseconds")
      : undefined;
    const delayMs = renewalRetryDelay(attempt, remainingMs, random, retryAfterMs);
    const next = now.add({ milliseconds: Math.round(delayMs) });
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
    this.#failures.delete(record.volumeId);
    logger.warn("gave up the volume of {namespace}/{pod}: its target is {state}", {
      ...volumeLogFields(record),
      state,
    });
  }
}

/** When a recorded volume's certificate is to be renewed. */
export function renewalDueAt(record: VolumeRecord): Temporal.Instant {
  const { issuedAt, notAfter, parsed: { renewBefore } } = record;
  return renewalTime({ issuedAt, notAfter, renewBefore }, renewalSpread(record.volumeId));
}
