import { describeProblems, parseAttributes } from "../../shared/attributes/attribute_parser.ts";
import { formatDuration } from "../../shared/text/durations.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";
import { computeRequestedNames, type RequestedNames } from "./requested_names.ts";
import {
  allows,
  decidePolicy,
  grantedValidity,
  type PolicyDecision,
  type PolicyRequest,
} from "./decision.ts";
import type { Policy, PolicyRule } from "./policy.ts";
import { computeEffectivePolicy, matchesNamespace } from "./effective_policy.ts";

export interface PreviewRequest {
  readonly policy: Policy;
  /** A name for each rule of the policy, such as "the rule at line 4". */
  readonly ruleTitles: readonly string[];
  readonly pod: PodFields;
  /** Of the volume. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** One property of the certificate, and the default or the rule that grants it. */
export interface PreviewLine {
  readonly what: string;
  readonly value: string;
  readonly grantedBy: string;
}

export type Preview =
  | { readonly kind: "granted"; readonly lines: readonly PreviewLine[] }
  | { readonly kind: "denied"; readonly reason: string };

/** Each property of the certificate that a policy grants a pod's volume, or why it grants none. */
export function previewPolicy(request: PreviewRequest): Preview {
  const { policy, pod } = request;
  const parsed = parseAttributes(request.attributes);
  const reason = describeProblems(parsed, (attribute) => attribute);
  if (reason !== undefined) return { kind: "denied", reason };
  const { duration, keyAlgorithm } = parsed.understood;
  const requested = computeRequestedNames(pod, parsed.understood, policy.clusterDomain);
  if (requested.kind === "invalid") return { kind: "denied", reason: requested.reason };
  const all: PolicyRequest = {
    pod,
    names: requested.names,
    validity: duration,
    isRenewal: false,
    keyAlgorithm,
  };
  const decision = decidePolicy(policy, all);
  if (decision.kind === "denied") return decision;
  return { kind: "granted", lines: previewLines(request, all, decision) };
}

function previewLines(
  request: PreviewRequest,
  { pod, names: { defaults, fromAnnotations }, validity, keyAlgorithm }: PolicyRequest,
  granted: PolicyDecision & { readonly kind: "granted" },
): PreviewLine[] {
  const nothing: RequestWithoutKey = {
    pod,
    names: {
      defaults,
      commonName: defaults.commonName,
      dnsNames: [],
      ipAddresses: [],
      uris: [],
      organizationalUnits: [],
      fromAnnotations: [],
    },
    validity: undefined,
    isRenewal: false,
  };
  const { commonName, dnsNames, ipAddresses, uris, organizationalUnits } = granted.names;
  const line = (what: string, value: string, only: Partial<PolicyRequest>): PreviewLine => ({
    what,
    value,
    grantedBy: grantedBy(request, { ...nothing, ...only }),
  });
  const name = (what: string, value: string, only: Partial<RequestedNames>) =>
    line(what, value, { names: { ...nothing.names, ...only } });
  return [
    name("common name", commonName, { commonName }),
    ...dnsNames.map((value) =>
      value === defaults.bareName || value === defaults.fullName
        ? { what: "DNS name", value, grantedBy: byDefault }
        : name("DNS name", value, { dnsNames: [value] })
    ),
    ...ipAddresses.map((value) => name("IP address", value, { ipAddresses: [value] })),
    ...uris.map((value) => name("URI", value, { uris: [value] })),
    ...organizationalUnits.map((value) =>
      name("organizational unit", value, { organizationalUnits: [value] })
    ),
    ...fromAnnotations.map((one) =>
      name("from annotations", one.template, { fromAnnotations: [one] })
    ),
    {
      what: "validity",
      value: formatDuration(granted.validity),
      grantedBy: validityGrantedBy(request, { ...nothing, validity }, granted.validity),
    },
    line("key", keyAlgorithm, { keyAlgorithm }),
    ...podCertificates(request),
  ];
}

const byDefault = "by default";

/** A request that is previewed for another property than its key: with any key that is allowed. */
type RequestWithoutKey = Omit<PolicyRequest, "keyAlgorithm"> & Partial<PolicyRequest>;

/** What grants one property of the request. */
function grantedBy(request: PreviewRequest, one: RequestWithoutKey): string {
  return firstThatGrants(request, (policy) => allowsProperty(policy, one));
}

/** A rule can exclude the usual key, and grant the property nevertheless. */
function allowsProperty(policy: Policy, one: RequestWithoutKey): boolean {
  const { keyAlgorithms } = computeEffectivePolicy(policy, one.pod.namespace);
  return keyAlgorithms.some((keyAlgorithm) => allows(policy, { keyAlgorithm, ...one }));
}

/** What makes the validity what it is: a rule can shorten the default or raise what is requested. */
function validityGrantedBy(
  request: PreviewRequest,
  one: RequestWithoutKey,
  validity: Temporal.Duration,
): string {
  return firstThatGrants(request, (policy) => {
    const effective = computeEffectivePolicy(policy, request.pod.namespace);
    const granted = grantedValidity(one.validity, effective);
    return allowsProperty(policy, one) && Temporal.Duration.compare(granted, validity) === 0;
  });
}

/** The default, or the first rule that grants something by itself. */
function firstThatGrants(request: PreviewRequest, grants: (policy: Policy) => boolean): string {
  const { policy } = request;
  if (grants({ ...policy, rules: [] })) return byDefault;
  const at = policy.rules.findIndex((rule) =>
    appliesTo(rule, request) && grants({ ...policy, rules: [rule] })
  );
  return at < 0 ? "by several rules together" : `by ${ruleTitle(request, at)}`;
}

function appliesTo({ namespaces }: PolicyRule, { pod }: PreviewRequest): boolean {
  return namespaces.some((pattern) => matchesNamespace(pod.namespace, pattern));
}

function ruleTitle({ ruleTitles }: PreviewRequest, at: number): string {
  return ruleTitles[at] ?? `rule ${at + 1}`;
}

/** What the last rule that states the reserved key states, although nothing depends on it yet. */
function podCertificates(request: PreviewRequest): PreviewLine[] {
  const { rules } = request.policy;
  const at = rules.findLastIndex((rule) =>
    rule.podCertificates !== undefined && appliesTo(rule, request)
  );
  if (at < 0) return [];
  return [{
    what: "podCertificates",
    value: `${rules[at]?.podCertificates}, without effect`,
    grantedBy: `by ${ruleTitle(request, at)}`,
  }];
}

/** A preview as text, in columns. */
export function formatPreview(title: string, lines: readonly PreviewLine[]): string {
  const width = (column: "what" | "value") => Math.max(...lines.map((line) => line[column].length));
  const [what, value] = [width("what"), width("value")];
  return [
    title,
    ...lines.map((line) =>
      `  ${line.what.padEnd(what)}  ${line.value.padEnd(value)}  ${line.grantedBy}`
    ),
  ].join("\n");
}
