import type { Logger } from "@logtape/logtape";
import { type CallRecord, createCallMetrics } from "./call_metrics.ts";
import type { Metrics } from "./metrics.ts";
import { errorMessage } from "../text/error_message.ts";

/** The status codes of faults of this program, by name; every other code is an answer. */
const faults = new Set(["INTERNAL", "UNKNOWN"]);

/**
 * Counts each call and logs it in one line: a fault as an error with its cause, any other failure at
 * the level `refusals`, and a success at the level debug.
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
    const reason = errorMessage(error);
    const failed = { ...properties, reason };
    if (faults.has(code)) return logger.error("{method} {code}: {reason}", { ...failed, error });
    if (refusals === "warning") return logger.warn("{method} {code}: {reason}", failed);
    logger.debug("{method} {code}: {reason}", failed);
  };
}
