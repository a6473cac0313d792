import type { Inventory } from "../inventory/inventory.ts";

/**
 * What this replica knows of the certificate that a renewal names. `foreign`: it issued that
 * certificate to another pod. `unverified`: it does not know the certificate, as after a restart,
 * before the driver has reported it.
 */
export type PredecessorState = "absent" | "verified" | "unverified" | "foreign";

/**
 * Compares a renewal's predecessor with the inventory. A reported entry of another pod makes it only
 * unverified: a node must not be able to stop another pod's renewals by a report.
 */
export function checkPredecessor(
  inventory: Pick<Inventory, "get" | "successorOf">,
  podUid: string,
  predecessor: string | undefined,
): PredecessorState {
  if (predecessor === undefined) return "absent";
  // The driver of a renewed volume names the former certificate again when it received no answer.
  const entry = inventory.get(predecessor) ?? inventory.successorOf(predecessor);
  if (entry === undefined) return "unverified";
  if (entry.pod.uid === podUid) return "verified";
  return entry.origin === "issued" ? "foreign" : "unverified";
}
