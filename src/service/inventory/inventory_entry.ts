import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";

/** One certificate, as the inventory returns it. */
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

/** Selects entries; a field that is undefined matches every entry. */
export interface InventoryFilter {
  readonly podUid?: string | undefined;
  readonly podName?: string | undefined;
  readonly node?: string | undefined;
  readonly namespace?: string | undefined;
}
