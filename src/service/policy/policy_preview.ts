import { parseAttributes } from "../../shared/attributes/attribute_parser.ts";
import { formatDuration } from "../../shared/text/durations.ts";
import { joinProblems } from "../../shared/text/printable_text.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";
import { computeRequestedNames, type RequestedNames } from "./requested_names.ts";
import { decidePolicy, type PolicyRequest } from "./decision.ts";
import type { Policy } from "./policy.ts";
import { matchesNamespace } from "./effective_policy.ts";

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
  if (parsed.kind === "refused") {
    const problems = parsed.problems.map(({ attribute, given, expected }) =>
      `${attribute}: is "${given}", expected ${expected}`
    );
    return { kind: "denied", reason: joinProblems(problems, parsed.unlisted) };
  }
  const { duration, keyAlgorithm } = parsed.attributes;
  const requested = computeRequestedNames(pod, parsed.attributes, policy.clusterDomain);
  if (requested.kind === "invalid") return { kind: "denied", reason: requested.reason };
  const { names } = requested;
  const all: PolicyRequest = { pod, names, validity: duration, keyAlgorithm };
  const decision = decidePolicy(policy, all);
  if (decision.kind === "denied") return decision;
  const { defaults } = names;
  const nothing: PolicyRequest = {
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
    keyAlgorithm: "ecdsa-p256",
  };
  const grantedByFor = (given: Partial<RequestedNames>, rest: Partial<PolicyRequest> = {}) =>
    grantedBy(request, { ...nothing, ...rest, names: { ...nothing.names, ...given } });
  const { commonName, dnsNames, ipAddresses, uris, organizationalUnits } = decision.names;
  const lines = (what: string, values: readonly string[], one: (value: string) => string) =>
    values.map((value): PreviewLine => ({ what, value, grantedBy: one(value) }));
  const validity = formatDuration(decision.validity);
  return {
    kind: "granted",
    lines: [
      ...lines("common name", [commonName], (value) => grantedByFor({ commonName: value })),
      ...lines(
        "DNS name",
        dnsNames,
        (value) =>
          value === defaults.bareName || value === defaults.fullName
            ? byDefault
            : grantedByFor({ dnsNames: [value] }),
      ),
      ...lines("IP address", ipAddresses, (value) => grantedByFor({ ipAddresses: [value] })),
      ...lines("URI", uris, (value) => grantedByFor({ uris: [value] })),
      ...lines(
        "organizational unit",
        organizationalUnits,
        (value) => grantedByFor({ organizationalUnits: [value] }),
      ),
      ...lines(
        "from annotations",
        names.fromAnnotations,
        (value) => grantedByFor({ fromAnnotations: [value] }),
      ),
      ...lines("validity", [validity], () => grantedByFor({}, { validity: decision.validity })),
      ...lines("key", [keyAlgorithm], () => grantedByFor({}, { keyAlgorithm })),
    ],
  };
}

const byDefault = "by default";

/** What grants one property: the default, or the first rule that grants it by itself. */
function grantedBy({ policy, ruleTitles, pod }: PreviewRequest, one: PolicyRequest): string {
  const grants = (rules: Policy["rules"]) =>
    decidePolicy({ ...policy, rules }, one).kind === "granted";
  if (grants([])) return byDefault;
  const at = policy.rules.findIndex((rule) =>
    rule.namespaces.some((pattern) => matchesNamespace(pod.namespace, pattern)) && grants([rule])
  );
  return at < 0 ? "by several rules together" : `by ${ruleTitles[at] ?? `rule ${at + 1}`}`;
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
