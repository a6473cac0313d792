/**
 * The shares of its lifetime at which a certificate is due for renewal, and over which volumes
 * issued together are spread after that. Part of the protocol, because the service compares with them.
 */
export const dueShare = 0.8;
export const spreadShare = 0.04;

/** For how long a renewal may be late: attempts that fail are repeated first after seconds. */
const toleranceMs = 600_000;
/** Of a short lifetime the tolerance is this share. */
const toleranceShare = 0.06;

/**
 * The age in milliseconds from which a certificate is overdue: its volume still has it although its
 * renewal was due. A `renew-before`, which makes the renewal earlier, does not count.
 */
export function overdueAgeMs(lifetimeMs: number): number {
  return lifetimeMs * (dueShare + spreadShare) + Math.min(toleranceMs, lifetimeMs * toleranceShare);
}
