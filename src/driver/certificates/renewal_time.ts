import { createHash } from "node:crypto";
import { type Backoff, fullJitterDelay } from "../../shared/scheduler/backoff.ts";
import type { Moment } from "../../shared/scheduler/clock.ts";
import { dueShare, spreadShare } from "../../shared/x509/overdue_renewal.ts";
import { ageMs, type CertificateTerms, lifetimeMs, remainingMs } from "./certificate_terms.ts";

/** A certificate is never renewed before this share of its lifetime, so a longer `renew-before` counts as this. */
const leastShare = 0.5;

/** A volume's position in the spread, from 0 to 1: a hash of its id, so that it is the same after a restart. */
export function renewalSpread(volumeId: string): number {
  return createHash("sha256").update(volumeId).digest().readUInt32BE(0) / 2 ** 32;
}

/** The age in milliseconds at which a certificate is due for renewal; `spread` is from 0 to 1. */
export function renewalAgeMs(
  lifetimeMs: number,
  renewBefore: Temporal.Duration | undefined,
  spread: number,
): number {
  const spreadMs = lifetimeMs * spreadShare * spread;
  if (renewBefore === undefined) return lifetimeMs * dueShare + spreadMs;
  // Here the spread makes the renewal earlier: `renew-before` states the latest time.
  const ageMs = lifetimeMs - renewBefore.total("milliseconds") - spreadMs;
  return Math.max(ageMs, lifetimeMs * leastShare);
}

/** Whether `renew-before` is longer than what it counts as. */
export function isRenewBeforeTooLong(lifetimeMs: number, renewBefore: Temporal.Duration): boolean {
  return renewBefore.total("milliseconds") > lifetimeMs * (1 - leastShare);
}

/** The milliseconds until a certificate is due for renewal, from now; negative when it was due before. */
export function renewalDueInMs(
  terms: CertificateTerms,
  renewBefore: Temporal.Duration | undefined,
  spread: number,
  moment: Moment,
): number {
  const lifetime = lifetimeMs(terms);
  const age = ageMs(terms, moment);
  if (age === undefined) return unknownAgeDelayMs(lifetime, spread);
  return renewalAgeMs(lifetime, renewBefore, spread) - age;
}

const unknownAgeSpreadMs = 60_000;

/**
 * The milliseconds until a certificate of unknown age is renewed: it is due now, and spread so that a node that has booted
 * does not request all certificates together.
 */
export function unknownAgeDelayMs(lifetimeMs: number, spread: number): number {
  return spread * Math.min(unknownAgeSpreadMs, lifetimeMs * 0.05);
}

/**
 * The least milliseconds between two requests for one volume's certificate, whatever their outcome: a twentieth of the
 * lifetime, from 1 s to 60 s. No error in a clock or an attribute leads to more requests.
 */
export function requestPauseMs(lifetimeMs: number): number {
  return Math.min(60_000, Math.max(1_000, lifetimeMs / 20));
}

/** A new certificate that is not valid yet on this node is mounted when this share of the old one's lifetime is left. */
const leastHoldShare = 0.05;
/** X.509 has whole seconds, and a swap takes time. */
const leastHoldMs = 2_000;

/**
 * For how long a renewed certificate is held before it replaces the old one: until it is valid by the node's clock, but the
 * old one must not expire. Zero or less: it is not held.
 */
export function holdMs(old: CertificateTerms, renewed: CertificateTerms, moment: Moment): number {
  const untilValidMs = renewed.notBefore.epochMilliseconds - moment.wall.epochMilliseconds;
  const reserveMs = Math.max(leastHoldMs, lifetimeMs(old) * leastHoldShare);
  return Math.min(untilValidMs, remainingMs(old, moment) - reserveMs);
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
