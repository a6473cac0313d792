import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { formatDuration, longer } from "../../shared/text/durations.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";
import { podSpiffeId } from "./default_names.ts";
import {
  isNamespaceName,
  isShortName,
  matchesDnsPattern,
  parseDnsPattern,
  reservedNameReason,
} from "./dns_rules.ts";
import { computeEffectivePolicy, type EffectivePolicy } from "./effective_policy.ts";
import { rangeContains } from "./ip_ranges.ts";
import type { Policy } from "./policy.ts";
import type { RequestedNames } from "./requested_names.ts";
import { isClusterLabel, outsideMeaning } from "./short_names.ts";
import { isSpiffeId, matchesUriPattern, reservedUriReason } from "./uri_rules.ts";

/** What a volume asks for. */
export interface PolicyRequest {
  readonly pod: { readonly namespace: string; readonly serviceAccountName: string };
  readonly names: RequestedNames;
  /** Undefined: the default. */
  readonly validity: Temporal.Duration | undefined;
  /** Whether the volume has a certificate: then a validity under the minimum is raised, not denied. */
  readonly isRenewal: boolean;
  /** Of the key that was sent. */
  readonly keyAlgorithm: KeyAlgorithm;
}

export type PolicyDecision =
  | {
    readonly kind: "granted";
    readonly names: CertificateNames;
    readonly validity: Temporal.Duration;
  }
  | { readonly kind: "denied"; readonly reason: string };

/** Returns a sentence for each part of the request that the policy does not allow. */
type Rule = (request: PolicyRequest, allowed: EffectivePolicy) => string[];

/** How many violations a denial lists: an event of Kubernetes holds 1024 characters. */
const maxListedViolations = 3;

/** Grants the whole request, or denies it with each name, the rule and the namespace. */
export function decidePolicy(policy: Policy, request: PolicyRequest): PolicyDecision {
  const { namespace } = request.pod;
  const allowed = computeEffectivePolicy(policy, namespace);
  const violations = listViolations(request, allowed);
  if (violations.length > 0) return { kind: "denied", reason: denial(violations, namespace) };
  const names = grantedNames(request.names, allowed);
  if (names.dnsNames.length + names.ipAddresses.length + names.uris.length === 0) {
    return { kind: "denied", reason: nameless };
  }
  return {
    kind: "granted",
    names,
    validity: grantedValidity(request.validity, allowed),
  };
}

/** The validity that is granted where this one is requested; one under the minimum is raised. */
export function grantedValidity(
  requested: Temporal.Duration | undefined,
  { defaultValidity, minValidity }: Pick<EffectivePolicy, "defaultValidity" | "minValidity">,
): Temporal.Duration {
  return longer(requested ?? defaultValidity, minValidity);
}

/** Whether the policy allows each part of the request. */
export function allows(policy: Policy, request: PolicyRequest): boolean {
  const allowed = computeEffectivePolicy(policy, request.pod.namespace);
  return listViolations(request, allowed).length === 0;
}

function listViolations(request: PolicyRequest, allowed: EffectivePolicy): string[] {
  return rules.flatMap((rule) => rule(request, allowed));
}

/** Verifiers compare the subjectAltName only. */
const nameless = "the certificate would have no subjectAltName: the pod's own name cannot be a " +
  "DNS name, which has labels of at most 63 characters and 253 in all; name the pod differently, " +
  "or add dns-names, ip-sans or uri-sans to the volume's attributes";

function grantedNames(names: RequestedNames, { bareNames }: EffectivePolicy): CertificateNames {
  const { defaults, commonName } = names;
  const dnsNames = [
    defaults.fullName,
    bareNames ? defaults.bareName : undefined,
    // Verifiers ignore the common name, so that a requested one is a subjectAltName as well.
    commonName === defaults.commonName ? undefined : commonName,
    ...names.dnsNames,
  ].filter((name) => name !== undefined);
  return {
    commonName,
    organizationalUnits: [...names.organizationalUnits],
    dnsNames: [...new Set(dnsNames)],
    ipAddresses: [...new Set(names.ipAddresses)],
    uris: [...new Set(names.uris)],
  };
}

function denial(violations: readonly string[], namespace: string): string {
  const more = violations.length - maxListedViolations;
  return `the policy for namespace ${namespace} does not allow it: ` +
    violations.slice(0, maxListedViolations).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

const checkDnsNames: Rule = ({ names, pod: { namespace } }, allowed) => {
  const { defaults, commonName } = names;
  const { clusterDomain, bareNames, shortNames } = allowed;
  const isAllowed = (name: string) =>
    name === defaults.fullName || (bareNames && name === defaults.bareName) ||
    isNamespaceName(name, namespace, clusterDomain) ||
    (shortNames && isShortName(name, namespace)) ||
    allowed.dnsNames.some((pattern) => matchesDnsPattern(name, pattern));
  const check = (attribute: string, name: string): string[] => {
    const reserved = reservedNameReason(name, allowed);
    if (reserved !== undefined) {
      return [`${attribute} "${name}" ${reserved}, and no rule can grant it`];
    }
    if (isAllowed(name)) return [];
    if (isShortName(name, namespace)) {
      return [`${attribute} "${name}" ${shortNameProblem(name, namespace, clusterDomain)}`];
    }
    const short = shortNames ? `a label before .${namespace}, ` : "";
    return [
      `${attribute} "${name}" is not ${short}one or two labels before .${namespace}.svc or ` +
      `.${namespace}.svc.${clusterDomain}, where the first may be *; ` +
      (parseDnsPattern(name) === undefined
        ? "no rule can grant a wildcard before a single label"
        : suggestRule(`dnsNames: ["${name}"]`)),
    ];
  };
  return [
    ...(defaults.fullName === undefined ? [] : check("the pod's own name", defaults.fullName)),
    ...(commonName === defaults.commonName ? [] : check("cn_template", commonName)),
    ...names.dnsNames.flatMap((name) => check("dns-names", name)),
  ];
};

/** Why a namespace that has no short names has none, and what to do. */
function shortNameProblem(name: string, namespace: string, clusterDomain: string): string {
  const instead = `use "${name}.svc"`;
  if (isClusterLabel(namespace, clusterDomain)) {
    return `has the form of the cluster's own names, because the namespace is called ${namespace}, ` +
      `and no rule can grant it; ${instead}`;
  }
  const meaning = outsideMeaning(namespace) ?? "has no such names by a rule with shortNames: false";
  return `is not granted, because ${namespace} ${meaning}; ${instead}, or ` +
    suggestRule("shortNames: true");
}

const checkUris: Rule = ({ names, pod }, { uris, trustDomain }) => {
  const own = podSpiffeId(pod, trustDomain);
  return names.uris.flatMap((uri) => {
    const reserved = reservedUriReason(uri);
    if (reserved !== undefined) return [`uri-sans "${uri}" ${reserved}, and no rule can grant it`];
    if (uri === own || uris.some((pattern) => matchesUriPattern(uri, pattern))) return [];
    return [`uri-sans "${uri}" is not the pod's own "${own}"; ${suggestRule(`uris: ["${uri}"]`)}`];
  });
};

const checkSpiffeIds: Rule = ({ names }) =>
  new Set(names.uris.filter(isSpiffeId)).size <= 1
    ? []
    : ["uri-sans has more than one SPIFFE ID, and a certificate can have only one"];

const checkOrganizationalUnits: Rule = ({ names }, { organizationalUnits }) =>
  names.organizationalUnits
    .filter((unit) => !organizationalUnits.includes("*") && !organizationalUnits.includes(unit))
    .map((unit) =>
      `organizational_units "${unit}" is not granted by default; ` +
      suggestRule(`organizationalUnits: ["${unit}"]`)
    );

const checkIpAddresses: Rule = ({ names }, { ipRanges }) =>
  names.ipAddresses
    .filter((address) => !ipRanges.some((range) => rangeContains(range, address)))
    .map((address) => {
      const single = `${address}/${address.includes(":") ? 128 : 32}`;
      return `ip-sans "${address}" is not granted by default; ` +
        suggestRule(`ipRanges: ["${single}"]`);
    });

const checkAnnotations: Rule = ({ names }, { annotations }) =>
  annotations
    ? []
    : names.fromAnnotations.map(({ attribute, template }) =>
      `${attribute} "${template}" uses an annotation, which is not granted by default because a node can write ` +
      `annotations; ${suggestRule("annotations: true")}`
    );

/** A volume that is mounted is never denied for the minimum, which can be newer than the volume. */
const checkMinValidity: Rule = ({ validity, isRenewal }, { minValidity }) => {
  if (isRenewal || !validity || Temporal.Duration.compare(validity, minValidity) >= 0) return [];
  const least = formatDuration(minValidity);
  return [
    `a validity of ${formatDuration(validity)} (duration or validity_days) is under the minimum, ` +
    `${least} (MIN_VALIDITY or a rule's minValidity); ask for ${least} or more, or for a policy rule with ` +
    `minValidity: ${formatDuration(validity)}`,
  ];
};

const checkMaxValidity: Rule = ({ validity }, { maxValidity }) => {
  if (!validity || Temporal.Duration.compare(validity, maxValidity) <= 0) return [];
  const text = formatDuration(validity);
  return [
    `a validity of ${text} (duration or validity_days) is over the maximum, ` +
    `${formatDuration(maxValidity)}; ` +
    suggestRule(`maxValidity: ${text}`),
  ];
};

const checkKeyAlgorithm: Rule = ({ keyAlgorithm }, { keyAlgorithms }) =>
  keyAlgorithms.includes(keyAlgorithm) ? [] : [
    `the key type ${keyAlgorithm} (key-algorithm and key-size) is not one of ` +
    `${keyAlgorithms.join(", ")}; ` +
    suggestRule(`keyAlgorithms: [..., ${keyAlgorithm}]`),
  ];

const rules: readonly Rule[] = [
  checkDnsNames,
  checkUris,
  checkSpiffeIds,
  checkOrganizationalUnits,
  checkIpAddresses,
  checkAnnotations,
  checkMinValidity,
  checkMaxValidity,
  checkKeyAlgorithm,
];

/** What the author of a volume can ask the operators for. */
function suggestRule(rule: string): string {
  return `ask for a policy rule with ${rule}`;
}
