/**
 * Whether an instant is less than a duration before now. An instant after now is not: the wall clock has
 * stepped back, and nothing may wait until it reaches that instant again.
 */
export function isWithin(
  instant: Temporal.Instant,
  duration: Temporal.DurationLike,
  now: Temporal.Instant,
): boolean {
  return Temporal.Instant.compare(instant, now) <= 0 &&
    Temporal.Instant.compare(now, instant.add(duration)) < 0;
}

export function earlier(left: Temporal.Instant, right: Temporal.Instant): Temporal.Instant {
  return Temporal.Instant.compare(left, right) <= 0 ? left : right;
}

export function later(left: Temporal.Instant, right: Temporal.Instant): Temporal.Instant {
  return Temporal.Instant.compare(left, right) < 0 ? right : left;
}
