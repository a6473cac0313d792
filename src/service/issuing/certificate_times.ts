import { maxClockSkew } from "../../shared/x509/clock_skew.ts";

/** notBefore is this long before the issue, so that programs whose clocks are behind can use the certificate. */
export const backdateMs = maxClockSkew.total("milliseconds");

/** Rounds down: times in X.509 have whole seconds (RFC 5280, 4.1.2.5), and nothing is to be valid for longer. */
export function wholeSeconds(epochMs: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(Math.floor(epochMs / 1000) * 1000);
}
