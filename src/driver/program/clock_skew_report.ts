import { getLogger } from "@logtape/logtape";
import type { Metrics } from "../../shared/telemetry/metrics.ts";
import { describeClockSkew } from "../certificates/clock_skew.ts";

const logger = getLogger(["csi-driver", "clock"]);

/** From here on the difference of the clocks is reported; a synchronised clock differs by less than a second. */
const reportedMs = 60_000;

/** Reports how far the clocks of this node and of the certificate service differ, measured with each certificate. */
export class ClockSkewReport {
  readonly #gauge: ReturnType<Metrics["gauge"]>;
  #problem: string | undefined;
  #latestMs: number | undefined;

  constructor(metrics: Metrics) {
    this.#gauge = metrics.gauge(
      "csi_cert_clock_skew_seconds",
      "How far the certificate service's clock is ahead of this node's, in seconds.",
    );
  }

  /** The service's clock minus the node's; warns when the difference becomes too large. */
  record(skewMs: number): void {
    this.#gauge.set(skewMs / 1000);
    this.#latestMs = skewMs;
    const hadProblem = this.#problem !== undefined;
    this.#problem = Math.abs(skewMs) <= reportedMs
      ? undefined
      : `${describeClockSkew(skewMs)}; beyond 300 s no volume is published: correct the clock`;
    if (hadProblem || this.#problem === undefined) return;
    logger.warn("{problem}", { problem: this.#problem });
  }

  /** The last value; undefined before the first certificate. */
  get latestMs(): number | undefined {
    return this.#latestMs;
  }

  /** A line of /readyz; undefined while the clocks agree. */
  get problem(): string | undefined {
    return this.#problem;
  }
}
