import { type KeyAlgorithm, keyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import type { Policy, PolicyRule } from "./policy.ts";

/** What the default and all rules for one namespace come to. */
export type EffectivePolicy = Required<Omit<PolicyRule, "namespaces">>;

/** RSA-4096 costs a node seconds for each key, so a rule has to say that it is wanted. */
export const defaultKeyAlgorithms: readonly KeyAlgorithm[] = keyAlgorithms
  .filter((algorithm) => algorithm !== "rsa-4096");

/** Puts the rules for a namespace together: lists add up, of single values the last one counts. */
export function computeEffectivePolicy(policy: Policy, namespace: string): EffectivePolicy {
  let allowance: EffectivePolicy = {
    dnsNames: [],
    uris: [],
    ipRanges: [],
    organizationalUnits: [],
    maxValidity: policy.maxValidity,
    keyAlgorithms: defaultKeyAlgorithms,
    bareNames: true,
    annotations: false,
  };
  for (const { namespaces, ...rule } of policy.rules) {
    if (!namespaces.some((pattern) => matchesNamespace(namespace, pattern))) continue;
    allowance = {
      ...allowance,
      ...rule,
      dnsNames: [...allowance.dnsNames, ...rule.dnsNames],
      uris: [...allowance.uris, ...rule.uris],
      ipRanges: [...allowance.ipRanges, ...rule.ipRanges],
      organizationalUnits: [...allowance.organizationalUnits, ...rule.organizationalUnits],
    };
  }
  return allowance;
}

/** A pattern is a name, or the beginning of one with "*" behind. */
export function matchesNamespace(namespace: string, pattern: string): boolean {
  return pattern.endsWith("*") ? namespace.startsWith(pattern.slice(0, -1)) : namespace === pattern;
}
