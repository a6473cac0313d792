/**
 * This folder is the driver's domain. It publishes and unpublishes volumes, renews their
 * certificates, reconciles the volumes after a restart, and writes new trust bundles into them. Its
 * main types are `Publisher`, `Renewer`, `Reconciler`, `TrustBundleUpdater` and `VolumeRecord`; its
 * ports are `Mounter`, `VolumeStore` and `KubeletVolumes`. It never calls the kernel, the file
 * system or gRPC, and reads no clock but the injected one.
 */

import { getLogger } from "@logtape/logtape";
import type { BootClock } from "../../shared/scheduler/clock.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { lifetimeMs } from "../certificates/certificate_terms.ts";
import { describeClockSkew } from "../certificates/clock_skew.ts";
import { isRenewBeforeTooLong } from "../certificates/renewal_time.ts";
import type { CertificateRequester } from "../certificates/certificate_requester.ts";
import type { IssueOutcome } from "../certificates/issuance_client.ts";
import type { KeyGenerator } from "../certificates/key_generator.ts";
import type { AdoptedVolumes } from "./adopted_volumes.ts";
import type { Mounter } from "./mounter.ts";
import type { Renewer } from "./renewer.ts";
import { checkVolume, mountedSerialNumber, type VolumeHealth } from "./volume_health.ts";
import {
  type Volume,
  volumeLogFields,
  type VolumeRecord,
  type VolumeStore,
} from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import type { VolumeWriter } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "volume"]);

/** Why a call did not publish or unpublish. */
export type PublishRejection =
  /** Another call or a renewal has the volume's lock; try again. */
  | { readonly kind: "busy"; readonly reason: string }
  /** The volume is published already, with other attributes. */
  | { readonly kind: "conflict"; readonly reason: string }
  /** The volume or its target is in use in a way that this call may not change. */
  | { readonly kind: "occupied"; readonly reason: string }
  /** The target cannot be published at until an operator changes how the driver runs. */
  | { readonly kind: "unusable"; readonly reason: string }
  | Exclude<IssueOutcome, { kind: "issued" }>;

export type PublishResult = { readonly kind: "done" } | PublishRejection;

/** What the kubelet names when it removes a volume. */
export type PublishedTarget = Pick<Volume, "volumeId" | "targetPath">;

/** The parts that publishing is composed of. */
export interface PublisherParts {
  readonly clock: BootClock;
  readonly table: VolumeTable;
  readonly mounter: Mounter;
  readonly store: VolumeStore;
  readonly writer: VolumeWriter;
  readonly requester: Pick<CertificateRequester, "issue">;
  readonly keys: KeyGenerator;
  readonly renewer: Renewer;
  readonly adopted: AdoptedVolumes;
}

/** Publishes and unpublishes volumes: idempotent, one call at a time for each volume. */
export class Publisher {
  readonly #parts: PublisherParts;

  constructor(parts: PublisherParts) {
    this.#parts = parts;
  }

  /** Gives the pod its volume; a healthy one remains as it is and needs no service. */
  async publish(volume: Volume, signal: AbortSignal): Promise<PublishResult> {
    const { table, mounter, clock } = this.#parts;
    using lock = table.locks.tryAcquire(volume.volumeId);
    // The sweep has it while it removes a mount whose volume it does not know.
    using targetLock = table.locks.tryAcquire(volume.targetPath);
    const known = table.get(volume.volumeId);
    const mismatch = known && await this.#mismatch(known, volume);
    if (mismatch) return mismatch;
    const health = await checkVolume(mounter, { volume, known }, clock.moment());
    if (lock === undefined || targetLock === undefined) {
      // A renewal that runs meanwhile is no reason to fail the republish of a healthy volume.
      return known && health.kind === "healthy" ? { kind: "done" } : busy(volume.volumeId);
    }
    switch (health.kind) {
      case "foreign":
        return foreignTarget(volume.targetPath);
      case "healthy":
        return await this.#adoptOrUpdate(volume, known, health);
      default:
        return await this.#issue(volume, known, health, signal);
    }
  }

  /** Removes the volume; succeeds when there is none. */
  async unpublish({ volumeId, targetPath }: PublishedTarget): Promise<PublishResult> {
    const { table, mounter, renewer, store, keys } = this.#parts;
    // Without the lock, because the renewal that is cancelled has it until it ends.
    await renewer.cancel(volumeId);
    using lock = table.locks.tryAcquire(volumeId);
    const record = table.get(volumeId);
    if (lock === undefined) {
      if (record) renewer.schedule(record);
      return busy(volumeId);
    }
    if (await mounter.state(targetPath) === "foreign") return foreignTarget(targetPath);
    await mounter.unpublish(targetPath);
    keys.discard(volumeId);
    if (record === undefined) return { kind: "done" };
    if (record.targetPath !== targetPath && await mounter.state(record.targetPath) === "ours") {
      renewer.schedule(record);
      return { kind: "done" };
    }
    await store.remove(record);
    table.delete(volumeId);
    logger.info("unpublished {namespace}/{pod}", volumeLogFields(record));
    return { kind: "done" };
  }

  /** Why the call cannot be for the volume that is known by this id. */
  async #mismatch(
    known: VolumeRecord,
    volume: Volume,
  ): Promise<PublishRejection | undefined> {
    const { volumeId } = volume;
    if (known.targetPath !== volume.targetPath) {
      if (await this.#parts.mounter.state(known.targetPath) !== "ours") return undefined;
      const reason =
        `volume ${volumeId} is published at ${known.targetPath}; unpublish it there first`;
      return { kind: "occupied", reason };
    }
    if (known.pod.uid !== volume.pod.uid) {
      const reason = `volume ${volumeId} belongs to the pod with uid ${known.pod.uid}`;
      return { kind: "conflict", reason };
    }
    const differing = differingKeys(known.attributes, volume.attributes);
    if (differing.length === 0) return undefined;
    const reason = `volume ${volumeId} is published with other attributes (${
      differing.join(", ")
    }); delete the pod and create it again to change them`;
    return { kind: "conflict", reason };
  }

  /** A healthy volume: adopted if its record was lost, given another group if that changed. */
  async #adoptOrUpdate(
    volume: Volume,
    known: VolumeRecord | undefined,
    { facts, contents }: Extract<VolumeHealth, { kind: "healthy" }>,
  ): Promise<PublishResult> {
    const { table, renewer, writer, adopted } = this.#parts;
    const isCurrent = known === facts;
    const hasOtherGroup = known !== undefined && known.group !== volume.group;
    if (isCurrent && table.isSaved(volume.volumeId) && !hasOtherGroup) return { kind: "done" };
    if (hasOtherGroup) await writer.replaceFiles(volume, contents);
    const record: VolumeRecord = { ...facts, ...volume };
    await writer.saveRecord(record, contents.certificatePem);
    if (known) renewer.schedule(record);
    else adopted.add(record);
    return { kind: "done" };
  }

  async #issue(
    volume: Volume,
    known: VolumeRecord | undefined,
    health: VolumeHealth,
    signal: AbortSignal,
  ): Promise<PublishResult> {
    const { mounter, requester, renewer, writer } = this.#parts;
    const isMounted = health.kind === "broken";
    // A volume that another version of the driver published is renewed by what is understood of its attributes.
    if (volume.rejectionReason !== undefined && known === undefined && !isMounted) {
      return { kind: "invalid", reason: volume.rejectionReason };
    }
    // Before a certificate is issued: the kubelet calls again and again.
    const reason = isMounted ? undefined : await mounter.rejectionReason(volume.targetPath);
    if (reason !== undefined) return { kind: "unusable", reason };
    // Also of a volume whose record was lost: the service can deny a short validity to a volume without a predecessor.
    const predecessor = known?.serialNumber ?? mountedSerialNumber(health);
    const parameters = { ...volume, predecessor, privateKeyPem: undefined };
    const issued = await requester.issue(parameters, signal);
    if (issued.kind !== "issued") {
      if (issued.kind !== "denied") return issued;
      // A denial is final for the kubelet: it sends no unpublish. So nothing may remain, and a volume that is mounted
      // must not get one, or its mount would remain for ever.
      if (isMounted) return { kind: "unavailable", reason: issued.reason };
      if (known) await this.#remove(known);
      return issued;
    }
    if (Math.abs(issued.clockSkewMs) > maxClockSkew.total("milliseconds")) {
      return { kind: "unavailable", reason: wrongClock(issued.clockSkewMs) };
    }
    if (known && known.targetPath !== volume.targetPath) {
      await mounter.unpublish(known.targetPath);
    }
    const record = await writer.write(volume, issued, signal);
    renewer.scheduleIssued(record);
    if (known === undefined) warnOfRenewBefore(record);
    logger.info("published {namespace}/{pod}", { ...volumeLogFields(record), renewed: isMounted });
    return { kind: "done" };
  }

  async #remove(record: VolumeRecord): Promise<void> {
    const { table, store, renewer } = this.#parts;
    table.delete(record.volumeId);
    await renewer.cancel(record.volumeId);
    await store.remove(record);
  }
}

/** Once for each volume, when its first certificate is issued. */
function warnOfRenewBefore(record: VolumeRecord): void {
  const { parsed: { renewBefore }, attributes } = record;
  const lifetime = lifetimeMs(record);
  if (renewBefore === undefined || !isRenewBeforeTooLong(lifetime, renewBefore)) return;
  logger.warn(
    "renew-before {renewBefore} of {namespace}/{pod} is more than half of the certificate's lifetime of {lifetime}, " +
      "so the certificate is renewed at half of its lifetime; state a shorter renew-before or a longer duration",
    {
      ...volumeLogFields(record),
      renewBefore: attributes["renew-before"],
      lifetime: `${Math.round(lifetime / 1000)}s`,
    },
  );
}

function wrongClock(clockSkewMs: number): string {
  return `${
    describeClockSkew(clockSkewMs)
  }, more than the 5 minutes that certificates allow for; ` +
    "correct the clock of the node, or of the service if all nodes report this";
}

function busy(volumeId: string): PublishRejection {
  const reason = `another call or a renewal works on volume ${volumeId}; try again`;
  return { kind: "busy", reason };
}

function foreignTarget(targetPath: string): PublishRejection {
  const reason = `target path ${targetPath} holds a file, a link or a mount that is not this ` +
    "driver's; it is left alone: remove it, and the next attempt succeeds";
  return { kind: "occupied", reason };
}

function differingKeys(
  left: Readonly<Record<string, string>>,
  right: Readonly<Record<string, string>>,
): string[] {
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].filter((key) => left[key] !== right[key]).sort();
}
