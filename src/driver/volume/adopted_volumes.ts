import { getLogger } from "@logtape/logtape";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { lifetimeMs } from "../certificates/certificate_terms.ts";
import { renewalSpread, unknownAgeDelayMs } from "../certificates/renewal_time.ts";
import type { Renewer } from "./renewer.ts";
import { volumeLogFields, type VolumeRecord } from "./volume_record.ts";
import type { VolumeTable } from "./volume_table.ts";

const logger = getLogger(["csi-driver", "volume"]);

/** Clocks that differ by less agree well enough to compare the time of issue with the node's clock. */
const largestSkewMs = 60_000;

/**
 * The volumes that were adopted from their mounts, because their records were lost. The time of issue stands for that of
 * the receipt: it is by the service's clock, so it is right only if the clocks agree.
 */
export class AdoptedVolumes {
  readonly #renewer: Renewer;
  readonly #scheduler: Scheduler;
  readonly #table: VolumeTable;
  /** Undefined until the first certificate since the start of the program. */
  #clocksAgree: boolean | undefined;
  /** The serial numbers of those that were adopted before, by volume id. */
  readonly #unverified = new Map<string, string>();

  constructor(parts: { renewer: Renewer; scheduler: Scheduler; table: VolumeTable }) {
    this.#renewer = parts.renewer;
    this.#scheduler = parts.scheduler;
    this.#table = parts.table;
  }

  /** Plans the renewal of a volume that has just been adopted. */
  add(record: VolumeRecord): void {
    logger.info("adopted {namespace}/{pod}", volumeLogFields(record));
    if (this.#clocksAgree === false) return this.#renewNow(record);
    if (this.#clocksAgree === undefined) {
      this.#unverified.set(record.volumeId, record.serialNumber);
    }
    this.#renewer.schedule(record);
  }

  /** Receives how far the service's clock is ahead of the node's: renews what was adopted while the clocks do not agree. */
  recordClockSkew(skewMs: number): void {
    this.#clocksAgree = Math.abs(skewMs) < largestSkewMs;
    for (const [volumeId, serialNumber] of this.#unverified) {
      const record = this.#table.get(volumeId);
      const isSame = record?.serialNumber === serialNumber;
      if (isSame && !this.#clocksAgree) this.#renewNow(record);
    }
    this.#unverified.clear();
  }

  #renewNow(record: VolumeRecord): void {
    const delayMs = unknownAgeDelayMs(lifetimeMs(record), renewalSpread(record.volumeId));
    const now = this.#scheduler.now();
    this.#renewer.advance(record, now.add({ milliseconds: Math.ceil(delayMs) }));
  }
}
