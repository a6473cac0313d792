import { describeProblems, parseAttributes } from "../../shared/attributes/attribute_parser.ts";
import { formatDuration } from "../../shared/text/durations.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";
import { computeRequestedNames, type RequestedNames } from "./requested_names.ts";
import { allows, decidePolicy, type PolicyDecision, type PolicyRequest } from "./decision.ts";
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
  { pod, names: { defaults, fromAnnotations }, keyAlgorithm }: PolicyRequest,
  granted: PolicyDecision & { readonly kind: "granted" },
): PreviewLine[] {
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
    isRenewal: false,
    keyAlgorithm: "ecdsa-p256",
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
    line("validity", formatDuration(granted.validity), { validity: granted.validity }),
    line("key", keyAlgorithm, { keyAlgorithm }),
  ];
}

const byDefault = "by default";

/** What grants one property: the default, or the first rule that grants it by itself. */
function grantedBy({ policy, ruleTitles, pod }: PreviewRequest, one: PolicyRequest): string {
  const grants = (rules: Policy["rules"]) => allows({ ...policy, rules }, one);
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
