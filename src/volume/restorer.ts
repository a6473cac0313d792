import { getLogger } from "@logtape/logtape";
import type { RenewerParts } from "./renewer.ts";
import { dueAt, type Renewer } from "./renewer.ts";
import type { UnreadableRecord, VolumeRecord } from "./ports.ts";
import { examine, placementOf } from "./volume_writer.ts";

const logger = getLogger(["csi-driver", "restore"]);
/** The sweep's key; a volume id never starts with a dot. */
const sweepKey = ".sweep";

/** What became of the recorded volumes. */
export interface Restored {
  /** Left as they were; nothing is issued for them. */
  readonly healthy: number;
  /** Issued again, now. */
  readonly repaired: number;
  /** Of pods that went while the driver was away: removed. */
  readonly removed: number;
  readonly unreadable: readonly UnreadableRecord[];
}

export type RestorerParts =
  & Pick<
    RenewerParts,
    "clock" | "scheduler" | "table" | "mounter" | "store" | "kubelet"
  >
  & {
    readonly renewer: Renewer;
    /** Between two sweeps. */
    readonly checkInterval: Temporal.Duration;
  };

type Fate = "healthy" | "repaired" | "removed";

/** Holds the records against what is mounted: at start, and by a sweep while the driver runs. */
export class Restorer {
  readonly #parts: RestorerParts;

  constructor(parts: RestorerParts) {
    this.#parts = parts;
  }

  /** Reads the records and schedules what they ask for; then sweeps at every check interval. */
  async restore(): Promise<Restored> {
    const { store, table } = this.#parts;
    const { records, unreadable } = await store.load();
    for (const { path, problem } of unreadable) {
      // The kubelet's next republish adopts what is mounted, and writes the record anew.
      logger.warn("left the record {path} aside: {problem}", { path, problem });
    }
    const counts = { healthy: 0, repaired: 0, removed: 0 };
    for (const record of records) {
      table.set(record);
      counts[await this.#settle(record)]++;
    }
    this.#scheduleSweep();
    return { ...counts, unreadable };
  }

  async #settle(record: VolumeRecord): Promise<Fate> {
    const { clock, mounter, kubelet, renewer } = this.#parts;
    const placement = placementOf(record);
    const health = placement && await examine(mounter, placement, clock.now());
    // The kubelet removes its note when it has torn the volume down: then no pod uses it.
    if (!kubelet.holds(record.targetPath) && health?.kind !== "foreign") {
      return await this.#remove(record);
    }
    if (health?.kind === "healthy") {
      renewer.schedule(record, dueAt({ ...record, notAfter: health.leaf.notAfter }));
      return "healthy";
    }
    renewer.schedule(record, clock.now());
    return "repaired";
  }

  async #remove(record: VolumeRecord): Promise<Fate> {
    const { mounter, store, table } = this.#parts;
    await mounter.unpublish(record.targetPath);
    await store.remove(record);
    table.delete(record.volumeId);
    const { pod, volumeId, targetPath } = record;
    logger.info("removed the volume of {namespace}/{pod}, which the kubelet gave up", {
      namespace: pod.namespace,
      pod: pod.name,
      volumeId,
      targetPath,
    });
    return "removed";
  }

  #scheduleSweep(): void {
    const { scheduler, clock, checkInterval } = this.#parts;
    const next = () => clock.now().add(checkInterval);
    scheduler.schedule(sweepKey, next(), async () => {
      await this.#sweep();
      return next();
    });
  }

  /** Repairs what broke unseen, and gives every volume a schedule that lost its own. */
  async #sweep(): Promise<void> {
    const { clock, mounter, renewer, scheduler, table } = this.#parts;
    for (const record of table.all()) {
      using lock = table.locks.tryAcquire(record.volumeId);
      if (lock === undefined || renewer.failures(record.volumeId) > 0) continue;
      const placement = placementOf(record);
      if (placement === undefined) continue;
      const health = await examine(mounter, placement, clock.now());
      if (health.kind === "broken") renewer.schedule(record, clock.now());
      else if (scheduler.nextRun(record.volumeId) === undefined) renewer.schedule(record);
    }
  }
}
