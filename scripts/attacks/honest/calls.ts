/** The messages to and from the honest worker, and the summary of its samples. */
import type { ClientIdentity } from "../http2/socket.ts";

/** One honest node: with a certificate, or a token in each call's metadata. */
export interface HonestNode {
  readonly identity?: ClientIdentity | undefined;
  readonly token?: string | undefined;
}

export interface HonestPlan {
  readonly address: string;
  readonly healthAddress: string;
  readonly ca: string;
  readonly serverName: string;
  /** Each with the message that it sends. */
  readonly nodes: readonly (HonestNode & { readonly message: Uint8Array })[];
  /** The method that all of them call. */
  readonly path: string;
  /** Calls a second of each node on its open connection. */
  readonly callsPerSecond: number;
  /** New connections a second, with one call each. */
  readonly connectionsPerSecond: number;
}

export type HonestOrder =
  | { readonly kind: "start"; readonly plan: HonestPlan }
  | { readonly kind: "collect" }
  | { readonly kind: "stop" };

/** Milliseconds of what succeeded, and reasons of what failed, since the last collection. */
export interface HonestSamples {
  readonly calls: readonly number[];
  readonly connections: readonly number[];
  readonly livez: readonly number[];
  readonly callFailures: readonly string[];
  readonly connectionFailures: readonly string[];
  readonly livezFailures: readonly string[];
  /** How late the callers' own timer was, in milliseconds. */
  readonly ownLags: readonly number[];
}

/** Samples that grow while callers run. */
export type GrowingSamples = {
  -readonly [K in keyof HonestSamples]: HonestSamples[K][number][];
};

export function noSamples(): GrowingSamples {
  return {
    calls: [],
    connections: [],
    livez: [],
    callFailures: [],
    connectionFailures: [],
    livezFailures: [],
    ownLags: [],
  };
}

/** Samples in short: what a row's table has a column for. */
export interface HonestSummary {
  readonly calls: number;
  readonly failed: number;
  readonly p99Ms: number;
  readonly connections: number;
  readonly connectionsFailed: number;
  readonly livezP99Ms: number;
  readonly livezFailed: number;
  /** The longest that the callers themselves had to wait for a processor. */
  readonly ownLagMs: number;
  /** The most frequent failure. */
  readonly failure: string | undefined;
}

export function summarizeSamples(samples: HonestSamples): HonestSummary {
  const { calls, connections, livez } = samples;
  const failures = [
    ...samples.callFailures,
    ...samples.connectionFailures,
    ...samples.livezFailures,
  ];
  return {
    calls: calls.length + samples.callFailures.length,
    failed: samples.callFailures.length,
    p99Ms: quantile(calls, 0.99),
    connections: connections.length + samples.connectionFailures.length,
    connectionsFailed: samples.connectionFailures.length,
    livezP99Ms: quantile(livez, 0.99),
    livezFailed: samples.livezFailures.length,
    ownLagMs: Math.max(0, ...samples.ownLags),
    failure: mostFrequent(failures),
  };
}

/** The smallest sample that so large a share of them does not exceed; NaN for none. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? NaN;
}

function mostFrequent(failures: readonly string[]): string | undefined {
  const counts = new Map<string, number>();
  for (const failure of failures) counts.set(failure, (counts.get(failure) ?? 0) + 1);
  return [...counts].sort(([, left], [, right]) => right - left)[0]?.[0];
}
