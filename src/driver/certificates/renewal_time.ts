import { createHash } from "node:crypto";
import { backoffCeiling } from "../../shared/scheduler/backoff.ts";

/** What the renewal instant is worked out from. */
export interface CertificateTerms {
  /** When the certificate was issued; not its notBefore, which is back-dated. */
  readonly issuedAt: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** The volume attribute `renew-before`, if given. */
  readonly renewBefore: Temporal.Duration | undefined;
}

/** Renewal is due when a fifth of the lifetime is left. */
const dueShare = 0.8;
/** Volumes issued together renew spread over this share of the lifetime, after they are due. */
const spreadShare = 0.04;
/** A certificate is never renewed sooner than this after its issue, however large `renew-before` is. */
const leastAgeMs = 60_000;
const leastAgeShare = 0.05;

/** A volume's place in the spread, from 0 to 1: a hash of its id, so that it survives restarts. */
export function renewalSpread(volumeId: string): number {
  return createHash("sha256").update(volumeId).digest().readUInt32BE(0) / 2 ** 32;
}

/** When a certificate is to be renewed; `spread` is from 0 to 1. */
export function renewalTime(terms: CertificateTerms, spread: number): Temporal.Instant {
  const lifetimeMs = terms.notAfter.epochMilliseconds - terms.issuedAt.epochMilliseconds;
  const spreadMs = lifetimeMs * spreadShare * spread;
  const renewBeforeMs = terms.renewBefore?.total("milliseconds");
  const ageMs = renewBeforeMs === undefined
    ? lifetimeMs * dueShare + spreadMs
    // The spread brings it forward here: what was asked for is the latest moment, not the earliest.
    : lifetimeMs - renewBeforeMs - spreadMs;
  return terms.issuedAt.add({
    milliseconds: Math.round(Math.max(ageMs, minimumRenewalAge(lifetimeMs))),
  });
}

/** The shortest age, in milliseconds, at which a certificate of this lifetime may be renewed. */
export function minimumRenewalAge(lifetimeMs: number): number {
  return Math.max(0, Math.min(leastAgeMs, lifetimeMs * leastAgeShare));
}

const backoff = { baseMs: 1_000, maxMs: 300_000 };
/** Near its end a certificate is tried this many times in what is left of it. */
const triesInRemainder = 10;
/** The shortest wait, so that a certificate about to expire does not become a busy loop. */
const retryLeastMs = 1_000;

/**
 * The wait in milliseconds before failed attempt number `attempt` (1 for the first) is repeated:
 * full jitter that doubles up to 5 minutes, and less as expiry nears. `random` is from 0 to 1.
 */
export function renewalRetryDelay(
  attempt: number,
  remainingMs: number,
  random: number,
  retryAfterMs = 0,
): number {
  const ceiling = backoffCeiling(attempt, backoff);
  const nearEnd = remainingMs > 0 ? remainingMs / triesInRemainder : backoff.maxMs;
  // An overloaded service's own delay is the minimum: the jitter is added to it.
  return retryAfterMs + Math.max(retryLeastMs, random * Math.min(ceiling, nearEnd));
}
