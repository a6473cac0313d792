import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { later } from "../../shared/scheduler/instants.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import type { CertificateRequester, IssueResult } from "../certificates/certificate_requester.ts";
import type { KubeletVolumes, Mounter } from "./mounter.ts";
import type { VolumeRecord, VolumeStore } from "./volume_record.ts";
import {
  minimumRenewalAge,
  renewalRetryDelay,
  renewalSpread,
  renewalTime,
} from "../certificates/renewal_time.ts";
import type { VolumeTable } from "./volume_table.ts";
import { checkVolume, type VolumeHealth } from "./volume_health.ts";
import { placementOf, type VolumePlacement } from "./volume_files.ts";
import { VolumeWriter } from "./volume_writer.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

const logger = getLogger(["csi-driver", "renewal"]);
/** While another call has the volume's lock, its renewal is tried again after this. */
const lockedRetryDelay = { seconds: 1 };

/** All nodes learn of an untrusted CA at once: their requests reach the service spread over this. */
const soonMs = 60_000;

/** The parts that renewal is composed of. */
export interface RenewerParts {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly table: VolumeTable;
  readonly mounter: Mounter;
  readonly store: VolumeStore;
  readonly source: Pick<CertificateRequester, "issue">;
  readonly kubelet: KubeletVolumes;
  /** From 0 to 1. */
  readonly random: () => number;
  /** Receives each attempt's outcome. */
  readonly onRenewal?: (outcome: "renewed" | "failed") => void;
}

/** Keeps every volume's certificate from expiring, and repairs what was found broken. */
export class Renewer {
  readonly #parts: RenewerParts;
  readonly #writer: VolumeWriter;
  /** Failed attempts since the last success, by volume id. */
  readonly #failures = new Map<string, number>();

  constructor(parts: RenewerParts) {
    this.#parts = parts;
    this.#writer = new VolumeWriter(parts);
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

  /** The service answers again: what failed meanwhile is tried now, spread over `spreadMs`. */
  retryFailed(spreadMs: number): number {
    const { clock, random, table } = this.#parts;
    const waiting = [...this.#failures.keys()];
    for (const volumeId of waiting) {
      const record = table.get(volumeId);
      const delay = Math.round(random() * spreadMs);
      if (record) this.schedule(record, clock.now().add({ milliseconds: delay }));
    }
    return waiting.length;
  }

  async #run(volumeId: string, signal: AbortSignal): Promise<Temporal.Instant | undefined> {
    const { clock, table, mounter } = this.#parts;
    using lock = table.locks.tryAcquire(volumeId);
    if (lock === undefined) return clock.now().add(lockedRetryDelay);
    const record = table.get(volumeId);
    if (record === undefined) return undefined;
    const placement = placementOf(record);
    if (placement === undefined) {
      logger.error(
        "{pod}: the record's attributes are not understood any more; re-create the pod",
        {
          pod: `${record.pod.namespace}/${record.pod.name}`,
        },
      );
      return undefined;
    }
    const health = await checkVolume(mounter, placement, clock.now());
    if (
      health.kind === "foreign" || (health.kind === "absent" && !this.#kubeletHasVolume(record))
    ) {
      return await this.#abandon(record, health.kind);
    }
    return await this.#renew(record, placement, health, signal);
  }

  async #renew(
    record: VolumeRecord,
    placement: VolumePlacement,
    health: VolumeHealth,
    signal: AbortSignal,
  ): Promise<Temporal.Instant> {
    const { clock, source } = this.#parts;
    const { volumeId } = record;
    const held = health.kind === "healthy" || health.kind === "broken"
      ? health.contents
      : undefined;
    const outcome = await source.issue({
      ...record,
      parsed: placement.parsed,
      predecessor: record.serialNumber,
      privateKeyPem: placement.parsed.reusePrivateKey ? held?.privateKeyPem : undefined,
    }, signal).catch((error) => this.#unexpected(error, signal));
    if (outcome.kind !== "issued") return this.#recordFailure(record, outcome);
    signal.throwIfAborted();
    const renewed = await this.#writer.write(record, outcome, placement);
    this.#failures.delete(volumeId);
    this.#parts.onRenewal?.("renewed");
    logger.info("renewed {namespace}/{pod}", {
      namespace: record.pod.namespace,
      pod: record.pod.name,
      volumeId,
      serialNumber: renewed.serialNumber,
      predecessor: record.serialNumber,
      notAfter: renewed.notAfter.toString(),
    });
    const lifetime = renewed.notAfter.epochMilliseconds - renewed.issuedAt.epochMilliseconds;
    const soonest = clock.now().add({ milliseconds: Math.ceil(minimumRenewalAge(lifetime)) });
    return later(renewalDueAt(renewed), soonest);
  }

  #recordFailure(
    record: VolumeRecord,
    outcome: Exclude<IssueResult, { kind: "issued" }>,
  ): Temporal.Instant {
    const { clock, random } = this.#parts;
    const attempt = this.failures(record.volumeId) + 1;
    this.#failures.set(record.volumeId, attempt);
    this.#parts.onRenewal?.("failed");
    const now = clock.now();
    const remaining = record.notAfter.epochMilliseconds - now.epochMilliseconds;
    const wait = outcome.kind === "overloaded" ? outcome.retryAfter?.total("milliseconds") : 0;
    const delay = renewalRetryDelay(attempt, remaining, random(), wait);
    const next = now.add({ milliseconds: Math.round(delay) });
    logger.warn("could not renew {namespace}/{pod}, the old certificate stays: {reason}", {
      namespace: record.pod.namespace,
      pod: record.pod.name,
      volumeId: record.volumeId,
      reason: outcome.reason,
      attempt,
      nextAttempt: next.toString(),
      notAfter: record.notAfter.toString(),
    });
    return next;
  }

  #unexpected(error: unknown, signal: AbortSignal): IssueResult & { kind: "unavailable" } {
    signal.throwIfAborted();
    const reason = errorMessage(error);
    return { kind: "unavailable", reason };
  }

  #kubeletHasVolume(record: VolumeRecord): boolean {
    return this.#parts.kubelet.hasVolume(record.targetPath);
  }

  /** The volume is not ours any more: its record is removed, what is at the target is left alone. */
  async #abandon(record: VolumeRecord, state: string): Promise<undefined> {
    const { store, table } = this.#parts;
    await store.remove(record);
    table.delete(record.volumeId);
    this.#failures.delete(record.volumeId);
    logger.warn("gave up the volume of {namespace}/{pod}: its target is {state}", {
      namespace: record.pod.namespace,
      pod: record.pod.name,
      volumeId: record.volumeId,
      state,
    });
  }
}

/** When a recorded volume's certificate is to be renewed. */
export function renewalDueAt(record: VolumeRecord): Temporal.Instant {
  const renewBefore = placementOf(record)?.parsed.renewBefore;
  return renewalTime({ ...record, renewBefore }, renewalSpread(record.volumeId));
}
