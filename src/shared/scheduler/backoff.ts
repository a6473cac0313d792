/** The bounds of a delay that doubles with each failed attempt. */
export interface Backoff {
  readonly baseMs: number;
  readonly maxMs: number;
}

/** The longest delay in milliseconds after so many failed attempts in a row, from 1. */
export function backoffCeiling(failures: number, { baseMs, maxMs }: Backoff): number {
  return Math.min(maxMs, baseMs * 2 ** (failures - 1));
}

/**
 * The delay in milliseconds before an attempt is repeated, drawn from zero to the ceiling, so that those
 * who failed together do not return together. `random` is from 0 to 1.
 */
export function fullJitterDelay(failures: number, backoff: Backoff, random: () => number): number {
  return random() * backoffCeiling(failures, backoff);
}
