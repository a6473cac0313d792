import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { overdueAgeMs } from "../../shared/x509/overdue_renewal.ts";
import type { StoredEntry } from "./inventory_entry.ts";

/** `current` unless its node's reports allow to say more. */
export type CertificateState = "current" | "overdue" | "expired" | "released";

const backdatingMs = maxClockSkew.total("milliseconds");

/**
 * The state of a volume's certificate. It is overdue or expired only if the volume still exists: its
 * node's last report contains it, or the node is silent.
 */
export function certificateState(
  { presence, notBeforeMs, notAfterMs }: StoredEntry,
  isNodeSilent: boolean,
  nowMs: number,
): CertificateState {
  if (presence === "released") return "released";
  if (presence !== "listed" && !isNodeSilent) return "current";
  if (nowMs >= notAfterMs) return "expired";
  const issuedMs = notBeforeMs + backdatingMs;
  return nowMs - issuedMs >= overdueAgeMs(notAfterMs - issuedMs) ? "overdue" : "current";
}
