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
