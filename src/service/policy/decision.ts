import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { formatDuration } from "../../shared/text/durations.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";
import { isNamespaceName, matchesDnsPattern, reservedNameReason } from "./dns_rules.ts";
import { computeEffectivePolicy, type EffectivePolicy } from "./effective_policy.ts";
import { rangeContains } from "./ip_ranges.ts";
import type { Policy } from "./policy.ts";
import type { RequestedNames } from "./requested_names.ts";
import { isNodeUri, isSpiffeId, matchesUriPattern, podSpiffeId } from "./uri_rules.ts";

/** What a volume asks for. */
export interface PolicyRequest {
  readonly pod: { readonly namespace: string; readonly serviceAccountName: string };
  readonly names: RequestedNames;
  readonly validity: Temporal.Duration | undefined;
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

/** How many violations a denial spells out: an event of Kubernetes holds 1024 characters. */
const maxListedViolations = 3;

/** Grants all that is asked for, or denies it with each name, the rule and the namespace. */
export function decidePolicy(policy: Policy, request: PolicyRequest): PolicyDecision {
  const { names, pod } = request;
  const allowance = computeEffectivePolicy(policy, pod.namespace);
  const violations = [
    ...dnsViolations(policy, allowance, request),
    ...uriViolations(policy, allowance, request),
    ...otherViolations(allowance, request),
  ];
  if (violations.length > 0) return { kind: "denied", reason: denial(violations, pod.namespace) };
  const own = [names.ownName, allowance.bareNames ? names.bareName : undefined];
  // Verifiers do not look at the common name: one that was asked for is a subjectAltName as well.
  const asked = names.commonName === names.defaultCommonName ? [] : [names.commonName];
  const dnsNames = [...own, ...asked, ...names.dnsNames].filter((name) => name !== undefined);
  return {
    kind: "granted",
    names: {
      commonName: names.commonName,
      organizationalUnits: [...names.organizationalUnits],
      dnsNames: [...new Set(dnsNames)],
      ipAddresses: [...new Set(names.ipAddresses)],
      uris: [...new Set(names.uris)],
    },
    validity: request.validity ?? shorter(policy.defaultValidity, allowance.maxValidity),
  };
}

function denial(violations: readonly string[], namespace: string): string {
  const more = violations.length - maxListedViolations;
  return `the policy for namespace ${namespace} does not allow it: ` +
    violations.slice(0, maxListedViolations).join("; ") + (more > 0 ? `; and ${more} more` : "");
}

function dnsViolations(
  policy: Policy,
  allowance: EffectivePolicy,
  request: PolicyRequest,
): string[] {
  const { clusterDomain } = policy;
  const { names, pod: { namespace } } = request;
  const granted = (name: string) =>
    name === names.ownName || (allowance.bareNames && name === names.bareName) ||
    isNamespaceName(name, namespace, clusterDomain) ||
    allowance.dnsNames.some((pattern) => matchesDnsPattern(name, pattern));
  const violation = (attribute: string, name: string): string[] => {
    const never = reservedNameReason(name, clusterDomain);
    if (never !== undefined) return [`${attribute} "${name}" ${never}, and no rule can grant it`];
    if (granted(name)) return [];
    return [
      `${attribute} "${name}" is neither a label before .${namespace}, nor one or two before ` +
      `.${namespace}.svc or .${namespace}.svc.${clusterDomain} (a wildcard only there); ` +
      suggestRule(`dnsNames: ["${name}"]`),
    ];
  };
  return [
    ...(names.ownName === undefined ? [] : violation("the pod's own name", names.ownName)),
    ...(names.commonName === names.defaultCommonName
      ? []
      : violation("cn_template", names.commonName)),
    ...names.dnsNames.flatMap((name) => violation("dns-names", name)),
  ];
}

function uriViolations(
  policy: Policy,
  allowance: EffectivePolicy,
  request: PolicyRequest,
): string[] {
  const { names, pod } = request;
  const own = podSpiffeId(pod, policy.clusterDomain);
  const violations = names.uris.flatMap((uri) => {
    if (isNodeUri(uri, policy.clusterDomain)) {
      return [`uri-sans "${uri}" names a node, and no rule can grant it`];
    }
    if (uri === own || allowance.uris.some((pattern) => matchesUriPattern(uri, pattern))) return [];
    return [`uri-sans "${uri}" is not the pod's own "${own}"; ${suggestRule(`uris: ["${uri}"]`)}`];
  });
  if (new Set(names.uris.filter(isSpiffeId)).size > 1) {
    violations.push("uri-sans has more than one SPIFFE ID, and a certificate bears at most one");
  }
  return violations;
}

function otherViolations(allowance: EffectivePolicy, request: PolicyRequest): string[] {
  const { names, validity, keyAlgorithm } = request;
  const violations = [];
  for (const unit of names.organizationalUnits) {
    const isAllowed = ["*", unit].some((one) => allowance.organizationalUnits.includes(one));
    if (!isAllowed) {
      violations.push(
        `organizational_units "${unit}" is not granted by default; ` +
          suggestRule(`organizationalUnits: ["${unit}"]`),
      );
    }
  }
  for (const address of names.ipAddresses) {
    if (allowance.ipRanges.some((range) => rangeContains(range, address))) continue;
    const single = `${address}/${address.includes(":") ? 128 : 32}`;
    violations.push(
      `ip-sans "${address}" is not granted by default; ${suggestRule(`ipRanges: ["${single}"]`)}`,
    );
  }
  for (const template of allowance.annotations ? [] : names.fromAnnotations) {
    violations.push(
      `"${template}" takes in an annotation, which is not granted by default as a node can write ` +
        `it; ${suggestRule("annotations: true")}`,
    );
  }
  if (validity && Temporal.Duration.compare(validity, allowance.maxValidity) > 0) {
    const text = formatDuration(validity);
    violations.push(
      `a validity of ${text} is over the longest, ${formatDuration(allowance.maxValidity)}; ` +
        suggestRule(`maxValidity: ${text}`),
    );
  }
  if (!allowance.keyAlgorithms.includes(keyAlgorithm)) {
    violations.push(
      `the key type ${keyAlgorithm} is not one of ${allowance.keyAlgorithms.join(", ")}; ` +
        suggestRule(`keyAlgorithms: [..., ${keyAlgorithm}]`),
    );
  }
  return violations;
}

/** What the author of a volume can ask the operators for. */
function suggestRule(rule: string): string {
  return `ask for a policy rule with ${rule}`;
}

function shorter(first: Temporal.Duration, second: Temporal.Duration): Temporal.Duration {
  return Temporal.Duration.compare(first, second) <= 0 ? first : second;
}
