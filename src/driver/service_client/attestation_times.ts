import type { AttestationOutcome } from "./attestation_client.ts";

/** With an identity in use, or a token that was refused, the service is asked at most so often. */
const leastPauseMs = 30_000;
const longestPauseMs = 5 * 60_000;
/** A file that is missing is a mount that comes: to look again costs nobody anything. */
const missingFileMs = 2_000;
/** Without an identity this node can do nothing, and a service that cannot be reached is not burdened. */
const urgent = { firstMs: 1_000, longestMs: 30_000 };

/**
 * Milliseconds until the next attempt at a certificate that is due, after so many that failed in a row. The pause doubles,
 * and is drawn from its upper half, so that nodes which failed together do not return together.
 */
export function attestationRetryMs(
  outcome: Exclude<AttestationOutcome, { kind: "identity" }>,
  { failures, isUsable }: { readonly failures: number; readonly isUsable: boolean },
  random: () => number,
): number {
  if (outcome.kind === "waiting") return missingFileMs;
  const isUrgent = !isUsable && outcome.kind !== "refused";
  const [firstMs, longestMs] = isUrgent
    ? [urgent.firstMs, urgent.longestMs]
    : [2 * leastPauseMs, longestPauseMs];
  const upperMs = Math.min(longestMs, firstMs * 2 ** (failures - 1));
  const pauseMs = upperMs * (1 + random()) / 2;
  return Math.max(pauseMs, retryAfterMs(outcome));
}

/**
 * Milliseconds after an attestation during which a missing connection leads to no other one; so many were made for that
 * reason since the service last answered.
 */
export function reattestationPauseMs(
  outcome: AttestationOutcome,
  reattestations: number,
): number {
  const pauseMs = Math.min(longestPauseMs, leastPauseMs * 2 ** Math.max(0, reattestations - 1));
  return Math.max(pauseMs, retryAfterMs(outcome));
}

function retryAfterMs(outcome: AttestationOutcome): number {
  const ms = outcome.kind === "overloaded" ? outcome.retryAfterMs ?? 0 : 0;
  return Math.min(ms, longestPauseMs);
}
