import { type KeyAlgorithm, keyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import { shorter } from "../../shared/text/durations.ts";
import type { Policy, PolicyRule } from "./policy.ts";
import { isClusterLabel, outsideMeaning } from "./short_names.ts";

/** What pods of one namespace may have: the default and all rules for the namespace together. */
export interface EffectivePolicy extends Required<Omit<PolicyRule, "namespaces">> {
  readonly clusterDomain: string;
  readonly servingName: string;
  readonly trustDomain: string;
  /** The validity where a volume asks for none: never over `maxValidity`. */
  readonly defaultValidity: Temporal.Duration;
  /** Never over `maxValidity`, so that each namespace can have some validity. */
  readonly minValidity: Temporal.Duration;
}

/** An RSA-4096 key takes a node seconds to make, so that only a rule allows it. */
const defaultKeyAlgorithms: readonly KeyAlgorithm[] = keyAlgorithms
  .filter((algorithm) => algorithm !== "rsa-4096");

/** Combines the rules for a namespace: lists are joined, of single values the last one is used. */
export function computeEffectivePolicy(policy: Policy, namespace: string): EffectivePolicy {
  let combined: Required<Omit<PolicyRule, "namespaces">> = {
    dnsNames: [],
    uris: [],
    ipRanges: [],
    organizationalUnits: [],
    maxValidity: policy.maxValidity,
    minValidity: policy.minValidity,
    keyAlgorithms: defaultKeyAlgorithms,
    bareNames: true,
    shortNames: outsideMeaning(namespace) === undefined,
    annotations: false,
    podCertificates: true,
  };
  for (const { namespaces, ...rule } of policy.rules) {
    if (!namespaces.some((pattern) => matchesNamespace(namespace, pattern))) continue;
    combined = {
      ...combined,
      ...rule,
      dnsNames: [...combined.dnsNames, ...rule.dnsNames],
      uris: [...combined.uris, ...rule.uris],
      ipRanges: [...combined.ipRanges, ...rule.ipRanges],
      organizationalUnits: [...combined.organizationalUnits, ...rule.organizationalUnits],
    };
  }
  const { clusterDomain, servingName, trustDomain, defaultValidity } = policy;
  return {
    ...combined,
    shortNames: combined.shortNames && !isClusterLabel(namespace, clusterDomain),
    clusterDomain,
    servingName,
    trustDomain,
    defaultValidity: shorter(defaultValidity, combined.maxValidity),
    minValidity: shorter(combined.minValidity, combined.maxValidity),
  };
}

/** Whether a text is the name of a namespace, or the start of one followed by "*". */
export function isNamespacePattern(text: string): boolean {
  return isDnsLabel(text) || /^(?:[a-z0-9][a-z0-9-]{0,61})?\*$/.test(text);
}

export function matchesNamespace(namespace: string, pattern: string): boolean {
  return pattern.endsWith("*") ? namespace.startsWith(pattern.slice(0, -1)) : namespace === pattern;
}
