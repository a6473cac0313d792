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
  /** How each of the policy's rules is called, such as "the rule at line 4". */
  readonly ruleTitles: readonly string[];
  readonly pod: PodFields;
  /** The volume's. */
  readonly attributes: Readonly<Record<string, string>>;
}

/** One thing on the certificate, and who grants it. */
export interface PreviewLine {
  readonly what: string;
  readonly value: string;
  readonly grantedBy: string;
}

export type Preview =
  | { readonly kind: "granted"; readonly lines: readonly PreviewLine[] }
  | { readonly kind: "denied"; readonly reason: string };

/** What a pod's volume would get under a policy, thing by thing; or why it would get nothing. */
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
  const { defaultCommonName, ownName } = names;
  const nothing: PolicyRequest = {
    pod,
    names: { ...noNames, defaultCommonName, commonName: defaultCommonName, ownName },
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
          value === names.bareName || value === ownName
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
const noNames: RequestedNames = {
  ownName: undefined,
  bareName: undefined,
  defaultCommonName: "",
  commonName: "",
  dnsNames: [],
  ipAddresses: [],
  uris: [],
  organizationalUnits: [],
  fromAnnotations: [],
};

/** Who grants one thing: the default, or the first rule that does alone. */
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
