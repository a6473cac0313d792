/** The difference of the clocks as messages state it; `skewMs` is positive when the service's clock is ahead. */
export function describeClockSkew(skewMs: number): string {
  const seconds = Math.round(Math.abs(skewMs) / 1000);
  const direction = skewMs > 0 ? "behind" : "ahead of";
  return `the clock of this node is ${seconds} s ${direction} the certificate service's`;
}

/**
 * How far the service's wall clock is ahead of the node's, in milliseconds; negative when it is behind. The service issued
 * at a time between `issuedAt`, which is rounded down to a second, and one second later; the node's clock was then between
 * `sentAt` and `receivedAt`. Of the values that are possible this is the nearest to zero.
 */
export function clockSkewMs(
  issuedAt: Temporal.Instant,
  sentAt: Temporal.Instant,
  receivedAt: Temporal.Instant,
): number {
  const leastMs = issuedAt.epochMilliseconds - receivedAt.epochMilliseconds;
  const mostMs = issuedAt.epochMilliseconds + 1_000 - sentAt.epochMilliseconds;
  if (leastMs > 0) return leastMs;
  return Math.min(0, mostMs);
}
