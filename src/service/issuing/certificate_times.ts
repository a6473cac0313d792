import { maxClockSkew } from "../../shared/x509/clock_skew.ts";

/** Replicas and nodes whose clocks are this far behind can use a certificate at once. */
export const backdateMs = maxClockSkew.total("milliseconds");

/** X.509 knows no fractions (RFC 5280, 4.1.2.5); rounded down, so that nothing is valid for longer. */
export function wholeSeconds(epochMs: number): Temporal.Instant {
  return Temporal.Instant.fromEpochMilliseconds(Math.floor(epochMs / 1000) * 1000);
}
