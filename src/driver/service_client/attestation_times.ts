import { backoffCeiling } from "../../shared/scheduler/backoff.ts";
import type { AttestationOutcome } from "./attestation_client.ts";

/** The shortest pause between attempts while an identity is in use, or after a token was refused. */
const leastPauseMs = 30_000;
const longestPauseMs = 5 * 60_000;
/** A missing file is mostly a mount that is not complete yet; to check again sends nothing. */
const missingFileMs = 2_000;
/** Without an identity no certificate is issued on this node, and attempts do not burden a service that is unreachable. */
const urgent = { baseMs: 1_000, maxMs: 30_000 };
const patient = { baseMs: 2 * leastPauseMs, maxMs: longestPauseMs };
const reattestation = { baseMs: leastPauseMs, maxMs: longestPauseMs };

/**
 * Milliseconds until the next attempt at a certificate that is due, after `failures` that failed in a row. The pause doubles,
 * and is drawn from its upper half, so that nodes which failed together do not return together.
 */
export function attestationRetryMs(
  outcome: Exclude<AttestationOutcome, { kind: "identity" }>,
  { failures, isUsable }: { readonly failures: number; readonly isUsable: boolean },
  random: () => number,
): number {
  if (outcome.kind === "waiting") return missingFileMs;
  const isUrgent = !isUsable && outcome.kind !== "refused";
  const ceilingMs = backoffCeiling(failures, isUrgent ? urgent : patient);
  const pauseMs = ceilingMs * (1 + random()) / 2;
  return Math.max(pauseMs, retryAfterMs(outcome));
}

/**
 * Milliseconds after an attestation during which a missing connection leads to no other one. `reattestations` were made
 * for that reason since the service last answered.
 */
export function reattestationPauseMs(
  outcome: AttestationOutcome,
  reattestations: number,
): number {
  const pauseMs = backoffCeiling(Math.max(1, reattestations), reattestation);
  return Math.max(pauseMs, retryAfterMs(outcome));
}

function retryAfterMs(outcome: AttestationOutcome): number {
  const ms = "retryAfterMs" in outcome ? outcome.retryAfterMs : undefined;
  return Math.min(ms ?? 0, longestPauseMs);
}
