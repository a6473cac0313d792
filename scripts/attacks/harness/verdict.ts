/** What has to hold during an attack, and whether it did. Pure: no clock, no process. */
import type { HonestSummary } from "../honest/calls.ts";
import type { Lag } from "./process_state.ts";
import type { Position } from "./row.ts";

export interface Expectation {
  /** Largest resident memory in MiB. */
  readonly memoryMiB: number;
  /** Longest lag of the event loop; undefined: not limited. */
  readonly lagMs: number | undefined;
  /** How many honest calls on open connections and how many honest new connections may fail. */
  readonly callsFailed: number;
  readonly connectionsFailed: number;
  /** p99 of honest calls relative to the quiet one; undefined: not limited. */
  readonly p99Factor: number | undefined;
}

/** What was seen during one row. */
export interface Observation {
  readonly exitCode: number | undefined;
  readonly memoryMiB: number;
  readonly lag: Lag | undefined;
  readonly honest: HonestSummary | undefined;
  readonly quietP99Ms: number;
  /** What the attack itself found wrong. */
  readonly failure: string | undefined;
  /** Whether a busy machine can be why the attack found that. */
  readonly isInconclusive?: boolean;
}

/** The manifest's limits for the two containers (deploy/base/csi-driver.yaml). */
export const memoryLimitMiB = { service: 1024, driver: 256 } as const;

/**
 * Unauthenticated clients and pods have no effect beyond their handshakes' cost. A node that was
 * compromised may slow others down; the process lives and serves them.
 */
const outside: Expectation = {
  memoryMiB: 256,
  lagMs: 250,
  callsFailed: 0,
  connectionsFailed: 0,
  p99Factor: 2,
};

export const expectations: Readonly<Record<Position, Expectation>> = {
  unauthenticated: outside,
  pod: outside,
  node: { ...outside, memoryMiB: memoryLimitMiB.service, p99Factor: undefined },
};

/** Below this a ratio of latencies is noise of the machine: the suite shares its processors. */
const noiseMs = 250;
/** No machine that is merely busy takes so many times what is expected: the program is what stalls. */
const stallFactor = 4;

/** What did not hold, in a sentence. */
export interface Violation {
  readonly sentence: string;
  readonly kind: "fact" | "answer" | "inconclusive" | "stall" | "time";
}

/** Whether a busy machine can be the cause of all that did not hold: then another attempt decides. */
export function isWorthRepeating(found: readonly Violation[]): boolean {
  return found.length > 0 && found.every(({ kind }) => kind !== "fact");
}

/** Whether nothing but times did not hold, and no time by far: how fast it is, the machine decides. */
export function isOnlySlow(found: readonly Violation[]): boolean {
  return found.every(({ kind }) => kind === "time");
}

/** What did not hold; none: the row has passed. */
export function violations(expected: Expectation, seen: Observation): Violation[] {
  const { exitCode, lag } = seen;
  // What the callers waited for a processor themselves, the service waited too, going and coming.
  const machineMs = 2 * (seen.honest?.ownLagMs ?? 0);
  const facts: string[] = [];
  const inconclusive: string[] = [];
  if (seen.failure !== undefined) {
    (seen.isInconclusive ? inconclusive : facts).push(seen.failure);
  }
  if (exitCode !== undefined) facts.push(`the process ended with exit code ${exitCode}`);
  if (seen.memoryMiB > expected.memoryMiB) {
    facts.push(`${Math.round(seen.memoryMiB)} MiB of memory, above ${expected.memoryMiB} MiB`);
  }
  const times: Violation[] = [];
  if (expected.lagMs !== undefined && (lag?.aboveMs ?? -1) >= expected.lagMs + machineMs) {
    const sentence = `the event loop lagged up to ${lag?.upToMs} ms, above ${expected.lagMs} ms`;
    times.push({ sentence, kind: timeKind(lag?.aboveMs ?? 0, expected.lagMs, machineMs) });
  }
  if (expected.p99Factor !== undefined && seen.honest !== undefined) {
    const longest = Math.max(noiseMs, seen.quietP99Ms * expected.p99Factor);
    const { p99Ms } = seen.honest;
    if (p99Ms > longest + machineMs) {
      const most = Math.round(longest + machineMs);
      const sentence = `honest p99 ${Math.round(p99Ms)} ms, above ${most} ms`;
      times.push({ sentence, kind: timeKind(p99Ms, longest, machineMs) });
    }
  }
  // Callers have deadlines: on a machine that is busy an answer can be missing that only came late.
  const isBusy = times.length > 0 || (seen.honest?.ownLagMs ?? 0) >= noiseMs;
  const answers = [...failedCalls(expected, seen), ...failedConnections(expected, seen)];
  return [
    ...facts.map((sentence) => ({ sentence, kind: "fact" as const })),
    ...answers.map((sentence) => ({
      sentence,
      kind: isBusy ? "answer" as const : "fact" as const,
    })),
    ...inconclusive.map((sentence) => ({ sentence, kind: "inconclusive" as const })),
    ...times,
  ];
}

function timeKind(ms: number, longestMs: number, machineMs: number): "stall" | "time" {
  return ms >= stallFactor * longestMs + machineMs ? "stall" : "time";
}

function failedCalls(expected: Expectation, { honest, exitCode }: Observation): string[] {
  if (honest === undefined) return [];
  const { failed, calls, livezFailed } = honest;
  const found: string[] = [];
  if (failed > expected.callsFailed) found.push(`${failed} of ${calls} honest calls failed`);
  if (livezFailed > 0 && exitCode === undefined) {
    found.push(`/livez was not answered ${livezFailed} times`);
  }
  return found;
}

function failedConnections(expected: Expectation, { honest }: Observation): string[] {
  const { connectionsFailed, connections } = honest ?? { connectionsFailed: 0, connections: 0 };
  if (connectionsFailed <= expected.connectionsFailed) return [];
  return [`${connectionsFailed} of ${connections} honest new connections failed`];
}

/** The line that CI reads: alone on a line, the last one. */
export function closingLine(passed: number, failed: number, skipped: number): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? "" : `, ${skipped} skipped`}`;
}
