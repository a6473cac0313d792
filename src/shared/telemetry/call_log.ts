import type { Logger } from "@logtape/logtape";
import { type CallRecord, createCallMetrics } from "./call_metrics.ts";
import type { Metrics } from "./metrics.ts";

/** Faults of ours, by the names of their status codes; every other code is an answer. */
const faults = new Set(["INTERNAL", "UNKNOWN"]);

/**
 * Counts each call and tells it in one line: faults as errors with their cause, what else was not OK
 * at `refusals`, and what went well only when somebody looks closely.
 */
export function createCallLog(
  logger: Logger,
  metrics: Metrics,
  refusals: "warning" | "debug",
): (call: CallRecord & { readonly error?: unknown }) => void {
  const count = createCallMetrics(metrics);
  return (call) => {
    count(call);
    const { method, code, error } = call;
    const properties = { method, code, ms: Math.round(call.ms) };
    if (code === "OK") return logger.debug("{method} {code}", properties);
    const reason = error instanceof Error ? error.message : String(error);
    const told = { ...properties, reason };
    if (faults.has(code)) return logger.error("{method} {code}: {reason}", { ...told, error });
    if (refusals === "warning") return logger.warn("{method} {code}: {reason}", told);
    logger.debug("{method} {code}: {reason}", told);
  };
}
