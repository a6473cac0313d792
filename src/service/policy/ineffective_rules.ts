import { formatDuration, longer } from "../../shared/text/durations.ts";
import { reservedNameReason } from "./dns_rules.ts";
import type { Policy, PolicyRule } from "./policy.ts";
import { isClusterLabel } from "./short_names.ts";
import { reservedUriReason } from "./uri_rules.ts";

/** A part of a rule that can never have an effect. */
export interface IneffectivePart {
  /** The rule's index. */
  readonly rule: number;
  readonly problem: string;
  readonly expected: string;
}

type Base = Omit<Policy, "rules">;

/** Of these keys only the last rule that states one for a namespace applies. */
const singleKeys = ["maxValidity", "minValidity", "keyAlgorithms", "bareNames", "shortNames"]
  .concat("annotations", "podCertificates") as (keyof PolicyRule)[];

/**
 * Lists the parts of rules that can never have an effect. They are: a rule that states nothing, names and URIs that no
 * rule can grant, short names for namespaces that never have them, a minimum over the maximum, and a
 * value that later rules replace for each of the rule's namespaces.
 */
export function findIneffectiveParts(rules: readonly PolicyRule[], base: Base): IneffectivePart[] {
  return rules.flatMap((rule, at) =>
    [
      ...emptiness(rule),
      ...reservedNames(rule, base),
      ...impossibleShortNames(rule, base),
      ...impossibleMinimum(rule, rules, base),
      ...replacedValues(rules, at),
    ].map((part) => ({ rule: at, ...part }))
  );
}

type Part = Omit<IneffectivePart, "rule">;

function emptiness({ namespaces: _, ...rule }: PolicyRule): Part[] {
  if (Object.values(rule).some((value) => !Array.isArray(value) || value.length > 0)) return [];
  return [{
    problem: "states nothing but namespaces",
    expected: "what their pods may have, or no such rule",
  }];
}

function reservedNames({ dnsNames, uris }: PolicyRule, base: Base): Part[] {
  // A reserved domain has no more labels than follow a "*", and no reserved name has this label, so
  // that one sample decides for all names.
  const sample = (pattern: string) => pattern.replaceAll("*", "x".repeat(63));
  const part = (key: string, value: string, reason: string | undefined): Part[] =>
    reason === undefined ? [] : [{
      problem: `${key} is "${value}", which ${reason}, and no rule can grant it`,
      expected: "another one",
    }];
  return [
    ...dnsNames.flatMap((name) => part("dnsNames", name, reservedNameReason(sample(name), base))),
    ...uris.flatMap((uri) => part("uris", uri, reservedUriReason(sample(uri)))),
  ];
}

function impossibleShortNames(
  { shortNames, namespaces }: PolicyRule,
  { clusterDomain }: Base,
): Part[] {
  if (!shortNames || !namespaces.every((name) => isClusterLabel(name, clusterDomain))) return [];
  return [{
    problem: `shortNames is "true" for ${namespaces.join(", ")} only, and a namespace that is ` +
      "called as a part of the cluster's own names never has short names",
    expected: "other namespaces, or no shortNames",
  }];
}

function impossibleMinimum(
  { minValidity, maxValidity }: PolicyRule,
  rules: readonly PolicyRule[],
  base: Base,
): Part[] {
  if (minValidity === undefined) return [];
  const longest = maxValidity ??
    rules.flatMap((rule) => rule.maxValidity ?? []).reduce(longer, base.maxValidity);
  if (Temporal.Duration.compare(minValidity, longest) <= 0) return [];
  const limit = maxValidity === undefined
    ? `the longest validity that a pod can have (MAX_VALIDITY or a rule's maxValidity)`
    : "the rule's maxValidity";
  return [{
    problem: `minValidity is "${formatDuration(minValidity)}", which is over ${limit}, ` +
      `"${formatDuration(longest)}"`,
    expected: "a shorter minValidity, or a longer maxValidity in the rule",
  }];
}

function replacedValues(rules: readonly PolicyRule[], at: number): Part[] {
  const rule = rules[at];
  if (rule === undefined) return [];
  return singleKeys.filter((key) => rule[key] !== undefined).flatMap((key): Part[] => {
    const replacing = rule.namespaces.map((namespaces) =>
      rules.findIndex((later, index) =>
        index > at && later[key] !== undefined &&
        later.namespaces.some((pattern) => covers(pattern, namespaces))
      )
    );
    if (replacing.includes(-1)) return [];
    const numbers = [...new Set(replacing)].map((index) => `rule ${index + 1}`).join(" and ");
    return [{
      problem:
        `${key} never applies: ${numbers} further down also states it for these namespaces, ` +
        "and of such rules the last one applies",
      expected: "the rule for more namespaces first, or no such key in this rule",
    }];
  });
}

/** Whether a pattern of namespaces matches each namespace that another one matches. */
function covers(pattern: string, other: string): boolean {
  return pattern.endsWith("*") ? other.startsWith(pattern.slice(0, -1)) : pattern === other;
}
