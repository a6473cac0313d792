import { parseDuration, validityFormat } from "../text/durations.ts";
import {
  type AttributeTexts,
  readAttribute,
  type ReadResult,
  type ReportProblem,
} from "./attribute_reader.ts";
import type { VolumeAttributes } from "./volume_attributes.ts";

const longestMs = 87_600 * 3_600_000;

/** `duration`, `validity_days` and `renew-before`. */
export function readLifetimeAttributes(
  values: AttributeTexts,
  report: ReportProblem,
): Pick<VolumeAttributes, "duration" | "renewBefore"> {
  const stated = readAttribute(values, "duration", report, readDuration);
  const days = readAttribute(values, "validity_days", report, readDays);
  if (values.has("duration") && values.has("validity_days")) {
    report("validity_days", values.get("validity_days") ?? "", "to be left out beside duration");
  }
  const duration = stated ?? days;
  const renewBefore = readAttribute(values, "renew-before", report, readRenewBefore);
  if (duration && renewBefore && Temporal.Duration.compare(renewBefore, duration) >= 0) {
    const attribute = stated ? "duration" : "validity_days";
    report("renew-before", values.get("renew-before") ?? "", `less than the ${attribute}`);
  }
  return { duration, renewBefore };
}

function readDuration(text: string): ReadResult<Temporal.Duration> {
  const value = validityFormat.parse(text);
  if (value) return { value };
  return { expected: validityFormat.expected, substitute: validityFormat.nearest(text) };
}

function readDays(text: string): ReadResult<Temporal.Duration> {
  const days = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= 3650) return { value: Temporal.Duration.from({ hours: days * 24 }) };
  return { expected: "a whole number of days from 1 to 3650" };
}

function readRenewBefore(text: string): ReadResult<Temporal.Duration> {
  const value = parseDuration(text);
  const ms = value?.total("milliseconds") ?? 0;
  if (value && ms > 0 && ms < longestMs) return { value };
  return { expected: 'a Go-style duration above 0s and below 87600h, such as "8h"' };
}
