import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";

/** One certificate, as the inventory returns it. */
export interface InventoryEntry {
  readonly serialNumber: string;
  readonly pod: PodIdentity;
  readonly volumeId: string;
  /** The node that asked for it; undefined where callers are not asked who they are. */
  readonly node: string | undefined;
  readonly names: Omit<CertificateNames, "organizationalUnits">;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  /** The serial number of the certificate that this one renewed. */
  readonly predecessor: string | undefined;
}
