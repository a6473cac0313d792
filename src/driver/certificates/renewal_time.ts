import { createHash } from "node:crypto";
import { type Backoff, fullJitterDelay } from "../../shared/scheduler/backoff.ts";

/** What the renewal instant depends on. */
export interface CertificateTerms {
  /** When the certificate was issued; not its notBefore, which is back-dated. */
  readonly issuedAt: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** The volume attribute `renew-before`, if the volume has it. */
  readonly renewBefore: Temporal.Duration | undefined;
}

/**
 * A volume's certificate is renewed at 80 % of its lifetime; for the programs' own certificates see
 * `identityRenewalFraction`.
 */
const dueShare = 0.8;
/** Volumes issued together renew spread over this share of the lifetime, after they are due. */
const spreadShare = 0.04;
/** A certificate is never renewed earlier than this after its issue, however large `renew-before` is. */
const leastAgeMs = 60_000;
const leastAgeShare = 0.05;

/** A volume's position in the spread, from 0 to 1: a hash of its id, so that it is the same after a restart. */
export function renewalSpread(volumeId: string): number {
  return createHash("sha256").update(volumeId).digest().readUInt32BE(0) / 2 ** 32;
}

/** When a certificate is due for renewal; `spread` is from 0 to 1. */
export function renewalTime(terms: CertificateTerms, spread: number): Temporal.Instant {
  const lifetimeMs = terms.notAfter.epochMilliseconds - terms.issuedAt.epochMilliseconds;
  const spreadMs = lifetimeMs * spreadShare * spread;
  const renewBeforeMs = terms.renewBefore?.total("milliseconds");
  const ageMs = renewBeforeMs === undefined
    ? lifetimeMs * dueShare + spreadMs
    // Here the spread makes the renewal earlier: `renew-before` states the latest instant.
    : lifetimeMs - renewBeforeMs - spreadMs;
  return terms.issuedAt.add({
    milliseconds: Math.round(Math.max(ageMs, minimumRenewalAge(lifetimeMs))),
  });
}

/** The shortest age, in milliseconds, at which a certificate of this lifetime may be renewed. */
export function minimumRenewalAge(lifetimeMs: number): number {
  return Math.max(0, Math.min(leastAgeMs, lifetimeMs * leastAgeShare));
}

/** The bounds of the wait after a failed renewal. */
const backoff: Backoff = { baseMs: 1_000, maxMs: 300_000 };
/** Near its end a certificate is tried this many times in what is left of it. */
const triesInRemainder = 10;
/** The shortest wait, so that a certificate about to expire does not become a busy loop. */
const retryLeastMs = 1_000;

/**
 * The wait in milliseconds before failed attempt number `attempt` (1 for the first) is repeated:
 * full jitter that doubles up to 5 minutes, and less as expiry nears. `random` returns 0 to 1.
 */
export function renewalRetryDelay(
  attempt: number,
  remainingMs: number,
  random: () => number,
  retryAfterMs = 0,
): number {
  const nearEndMs = remainingMs > 0 ? remainingMs / triesInRemainder : backoff.maxMs;
  const bounds = { ...backoff, maxMs: Math.min(backoff.maxMs, nearEndMs) };
  // An overloaded service's own delay is the minimum: the jitter is added to it.
  return retryAfterMs + Math.max(retryLeastMs, fullJitterDelay(attempt, bounds, random));
}
