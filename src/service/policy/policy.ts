/**
 * This folder decides which names, lifetimes and keys a pod may have: the rules, the policy file,
 * the decision and the preview of it, and the names that a pod gets by default. Its main types are
 * `Policy`, `EffectivePolicy`, `PolicyDecision` and `DefaultNames`. It never learns who the caller
 * is, and never reads a file or a clock.
 */

import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import type { IpRange } from "./ip_ranges.ts";

/** What pods may have: the default, and the rules that change it. */
export interface Policy {
  readonly clusterDomain: string;
  /** The name in the service's own certificate, which no rule can grant. */
  readonly servingName: string;
  /** Of the pods' SPIFFE IDs. */
  readonly trustDomain: string;
  /** The validity where a volume asks for none. */
  readonly defaultValidity: Temporal.Duration;
  /** The shortest validity that a first certificate can be requested with. */
  readonly minValidity: Temporal.Duration;
  /** The longest validity where no rule states another. */
  readonly maxValidity: Temporal.Duration;
  readonly rules: readonly PolicyRule[];
}

/** What pods of some namespaces may have in addition to the default. */
export interface PolicyRule {
  /** Names of namespaces, or the start of names followed by "*". */
  readonly namespaces: readonly string[];
  /** DNS names in which "*" matches exactly one label. */
  readonly dnsNames: readonly string[];
  /** URIs in which "*" matches exactly one segment of the path. */
  readonly uris: readonly string[];
  readonly ipRanges: readonly IpRange[];
  /** Exactly these; "*" for any. */
  readonly organizationalUnits: readonly string[];
  /** Replaces the default; of several rules the last one that states it applies. */
  readonly maxValidity?: Temporal.Duration;
  /** Replaces the default, as far as the maximum allows it. */
  readonly minValidity?: Temporal.Duration;
  readonly keyAlgorithms?: readonly KeyAlgorithm[];
  /** Whether a certificate contains the pod's name alone. */
  readonly bareNames?: boolean;
  /** Whether DNS names of one label before .NAMESPACE are granted. */
  readonly shortNames?: boolean;
  /** Whether templates may use annotations. */
  readonly annotations?: boolean;
  /** Reserved: no certificate depends on it. */
  readonly podCertificates?: boolean;
}
