/**
 * This folder decides which names, lifetimes and keys a pod may have: the rules, the policy file,
 * the decision and the preview of it, and the names that a pod gets by default. Its main types are
 * `Policy`, `EffectivePolicy`, `PolicyDecision` and `RequestedNames`. It never learns who calls,
 * reads no file and no clock, and does not log.
 */

import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import type { IpRange } from "./ip_ranges.ts";

/** What pods may have: the default, and what rules add to it. */
export interface Policy {
  readonly clusterDomain: string;
  /** The validity where a volume asks for none. */
  readonly defaultValidity: Temporal.Duration;
  /** The longest validity where no rule says otherwise. */
  readonly maxValidity: Temporal.Duration;
  readonly rules: readonly PolicyRule[];
}

/** What pods of some namespaces may have beyond the default. */
export interface PolicyRule {
  /** Names of namespaces, or the beginnings of names with "*" behind. */
  readonly namespaces: readonly string[];
  /** DNS names in which "*" stands for exactly one label. */
  readonly dnsNames: readonly string[];
  /** URIs in which "*" stands for exactly one segment of the path. */
  readonly uris: readonly string[];
  readonly ipRanges: readonly IpRange[];
  /** Exactly these; "*" for any. */
  readonly organizationalUnits: readonly string[];
  /** In place of the default's; of several rules the last that states it counts. */
  readonly maxValidity?: Temporal.Duration;
  readonly keyAlgorithms?: readonly KeyAlgorithm[];
  /** Whether a pod's name alone is on its certificate. */
  readonly bareNames?: boolean;
  /** Whether templates may take in annotations. */
  readonly annotations?: boolean;
}
