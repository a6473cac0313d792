import type { Metrics } from "./metrics.ts";

/** A gRPC call that ended. */
export interface CallRecord {
  /** "/package.Service/Method". */
  readonly method: string;
  /** The status code's name. */
  readonly code: string;
  readonly ms: number;
}

/** In seconds: from a call that only reads to one that waits for an RSA key. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

/** Counts a program's calls by method and code, and how long they took by method. */
export function createCallMetrics(metrics: Metrics): (call: CallRecord) => void {
  const calls = metrics.counter("grpc_server_calls_total", "Calls that ended, by method and code.");
  const seconds = metrics.histogram("grpc_server_call_seconds", "How long calls took.", buckets);
  return ({ method, code, ms }) => {
    calls.add(1, { method, code });
    seconds.observe(ms / 1000, { method });
  };
}
