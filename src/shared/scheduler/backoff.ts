/**
 * Milliseconds to wait before an attempt is repeated: anything from nothing up to a bound that
 * doubles from `baseMs` with each failed attempt (the first is 1) until it reaches `maxMs`.
 * Drawn over the whole range, so that those who failed together do not come back together.
 */
export function fullJitterDelay(
  attempt: number,
  options: { readonly baseMs: number; readonly maxMs: number },
  random: () => number,
): number {
  return random() * Math.min(options.maxMs, options.baseMs * 2 ** (attempt - 1));
}
