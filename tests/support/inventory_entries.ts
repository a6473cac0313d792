import type { InventoryEntry, StoredEntry } from "../../src/service/inventory/inventory_entry.ts";

/** The entry of which the inventory returned this one, to add it again. */
export function entryOf(
  { notBeforeMs, notAfterMs, presence: _presence, ...entry }: StoredEntry,
): InventoryEntry {
  return {
    ...entry,
    notBefore: Temporal.Instant.fromEpochMilliseconds(notBeforeMs),
    notAfter: Temporal.Instant.fromEpochMilliseconds(notAfterMs),
  };
}
