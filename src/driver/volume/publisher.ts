/**
 * This folder is the driver's domain. It publishes and unpublishes volumes, renews their
 * certificates, reconciles the volumes after a restart, and writes new trust bundles into them. Its
 * main types are `Publisher`, `Renewer`, `Reconciler`, `TrustBundleUpdater` and `VolumeRecord`; its
 * ports are `Mounter`, `VolumeStore` and `KubeletVolumes`. It never calls the kernel, the file
 * system or gRPC, and reads no clock but the injected one.
 */

import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
import type { CertificateRequester } from "../certificates/certificate_requester.ts";
import type { IssueOutcome } from "../certificates/issuance_client.ts";
import type { KeyGenerator } from "../certificates/key_generator.ts";
import { volumeLogFields } from "./log_fields.ts";
import type { Mounter } from "./mounter.ts";
import type { PublishRequest } from "./publish_request.ts";
import type { Renewer } from "./renewer.ts";
import { volumeFiles, type VolumePlacement } from "./volume_files.ts";
import { certificateFields, checkVolume, type VolumeHealth } from "./volume_health.ts";
import type { VolumeRecord, VolumeStore } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";
import { VolumeWriter } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "volume"]);

/** Why a call did not do what it was asked to. */
export type PublishRejection =
  /** Another call works on this volume; try again. */
  | { readonly kind: "busy"; readonly reason: string }
  /** The volume is published already, with other attributes. */
  | { readonly kind: "conflict"; readonly reason: string }
  /** The volume or its target is in use in a way that this call may not change. */
  | { readonly kind: "occupied"; readonly reason: string }
  | Exclude<IssueOutcome, { kind: "issued" }>;

export type PublishResult = { readonly kind: "done" } | PublishRejection;

/** The parts that publishing is composed of. */
export interface PublisherParts {
  readonly clock: Clock;
  readonly table: VolumeTable;
  readonly mounter: Mounter;
  readonly store: VolumeStore;
  readonly source: Pick<CertificateRequester, "issue">;
  readonly keys: KeyGenerator;
  readonly renewer: Renewer;
}

/** Publishes and unpublishes volumes: idempotent, one call at a time for each volume. */
export class Publisher {
  readonly #parts: PublisherParts;
  readonly #writer: VolumeWriter;
  /** A check and an unmount run without a pause, and a node starts and drains many pods at once. */
  readonly #turns = new EventLoopLimiter();

  constructor(parts: PublisherParts) {
    this.#parts = parts;
    this.#writer = new VolumeWriter(parts);
  }

  /** Gives the pod its volume; a healthy one is left as it is and needs no service. */
  async publish(request: PublishRequest, signal: AbortSignal): Promise<PublishResult> {
    const { table } = this.#parts;
    using lock = table.locks.tryAcquire(request.volumeId);
    await this.#turns.acquire();
    const known = table.get(request.volumeId);
    const mismatch = known && this.#mismatch(known, request);
    if (mismatch) return mismatch;
    const health = await checkVolume(this.#parts.mounter, request, this.#parts.clock.now());
    if (lock === undefined) {
      // A renewal that runs meanwhile is no reason to fail the republish of a healthy volume.
      if (known && health.kind === "healthy") return { kind: "done" };
      return busy(request.volumeId);
    }
    if (health.kind === "foreign") {
      return { kind: "occupied", reason: foreignTargetText(request.targetPath) };
    }
    if (health.kind === "healthy") return await this.#adoptOrUpdate(request, known, health);
    return await this.#issue(request, known, health, signal);
  }

  /** Removes the volume; succeeds when there is none. */
  async unpublish(
    request: { readonly volumeId: string; readonly targetPath: string },
  ): Promise<PublishResult> {
    const { table, mounter, renewer, store, keys } = this.#parts;
    const { volumeId, targetPath } = request;
    // Without the lock: the renewal that is waited for takes it.
    await renewer.cancel(volumeId);
    using lock = table.locks.tryAcquire(volumeId);
    const record = table.get(volumeId);
    if (lock === undefined) {
      if (record) renewer.schedule(record);
      return busy(volumeId);
    }
    await this.#turns.acquire();
    if (mounter.state(targetPath) === "foreign") {
      return { kind: "occupied", reason: foreignTargetText(targetPath) };
    }
    await mounter.unpublish(targetPath);
    keys.discard(volumeId);
    if (record === undefined) return { kind: "done" };
    if (record.targetPath !== targetPath && mounter.state(record.targetPath) === "ours") {
      renewer.schedule(record);
      return { kind: "done" };
    }
    await store.remove(record);
    table.delete(volumeId);
    logger.info("unpublished {namespace}/{pod}", volumeLogFields(record));
    return { kind: "done" };
  }

  #mismatch(known: VolumeRecord, request: PublishRequest): PublishRejection | undefined {
    const { volumeId } = request;
    if (known.targetPath !== request.targetPath) {
      if (this.#parts.mounter.state(known.targetPath) !== "ours") return undefined;
      const reason =
        `volume ${volumeId} is published at ${known.targetPath}; unpublish it there first`;
      return { kind: "occupied", reason };
    }
    if (known.pod.uid !== request.pod.uid) {
      const reason = `volume ${volumeId} belongs to the pod with uid ${known.pod.uid}`;
      return { kind: "conflict", reason };
    }
    const differing = differingKeys(known.attributes, request.attributes);
    if (differing.length === 0) return undefined;
    const reason = `volume ${volumeId} is published with other attributes (${
      differing.join(", ")
    }); delete the pod and create it again to change them`;
    return { kind: "conflict", reason };
  }

  /** A healthy volume: adopted if its record was lost, given another group if that changed. */
  async #adoptOrUpdate(
    request: PublishRequest,
    known: VolumeRecord | undefined,
    health: Extract<VolumeHealth, { kind: "healthy" }>,
  ): Promise<PublishResult> {
    const { mounter, table, renewer } = this.#parts;
    const { leaf } = health;
    const isRecorded = known?.serialNumber === leaf.serialNumber && table.isSaved(known.volumeId);
    if (isRecorded && known.group === request.group) return { kind: "done" };
    if (known && known.group !== request.group) {
      await mounter.replace(request.targetPath, volumeFiles(health.contents, request));
    }
    const issued = known?.serialNumber === leaf.serialNumber ? known : certificateFields(leaf);
    const { issuedAt, serialNumber, notAfter } = issued;
    const record: VolumeRecord = { ...volumeOf(request), issuedAt, serialNumber, notAfter };
    await this.#writer.record(record, health.contents.certificatePem);
    renewer.schedule(record);
    if (!known) logger.info("adopted {namespace}/{pod}", volumeLogFields(record));
    return { kind: "done" };
  }

  async #issue(
    request: PublishRequest,
    known: VolumeRecord | undefined,
    health: VolumeHealth,
    signal: AbortSignal,
  ): Promise<PublishResult> {
    const { mounter, source, renewer } = this.#parts;
    const mounted = health.kind === "broken";
    const issued = await source.issue({
      ...request,
      predecessor: known?.serialNumber,
      privateKeyPem: undefined,
    }, signal);
    if (issued.kind !== "issued") {
      if (issued.kind !== "denied") return issued;
      // A denial is final for the kubelet: no unpublish will come. So nothing may stay behind, and a
      // volume that is mounted must not get one, or its mount would stay for ever.
      if (mounted) return { kind: "unavailable", reason: issued.reason };
      if (known) await this.#remove(known);
      return issued;
    }
    // The call may have ended meanwhile; then the kubelet would not remove the volume.
    signal.throwIfAborted();
    if (known && known.targetPath !== request.targetPath) await mounter.unpublish(known.targetPath);
    const record = await this.#writer.write(volumeOf(request), issued, placement(request));
    renewer.schedule(record);
    logger.info("published {namespace}/{pod}", { ...volumeLogFields(record), renewed: mounted });
    return { kind: "done" };
  }

  async #remove(record: VolumeRecord): Promise<void> {
    const { table, store, renewer } = this.#parts;
    table.delete(record.volumeId);
    await renewer.cancel(record.volumeId);
    await store.remove(record);
  }
}

function busy(volumeId: string): PublishRejection {
  return {
    kind: "busy",
    reason: `another call or a renewal works on volume ${volumeId}; try again`,
  };
}

function foreignTargetText(targetPath: string): string {
  return `target path ${targetPath} holds a file, a link or a mount that is not this driver's; ` +
    "it is left alone: remove it, and the next attempt succeeds";
}

function placement({ targetPath, parsed, group }: PublishRequest): VolumePlacement {
  return { targetPath, parsed, group };
}

function volumeOf(request: PublishRequest) {
  const { volumeId, volumeName, targetPath, pod, attributes, group } = request;
  return { volumeId, volumeName, targetPath, pod, attributes, group };
}

function differingKeys(
  left: Readonly<Record<string, string>>,
  right: Readonly<Record<string, string>>,
): string[] {
  const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
  return [...keys].filter((key) => left[key] !== right[key]).sort();
}
