import { abbreviate, joinProblems } from "../../shared/text/printable_text.ts";
import type { VolumeAttributes } from "../../shared/attributes/volume_attributes.ts";
import { podBareName, podCommonName, podDnsName, reservedBareNames } from "./default_names.ts";
import { parseDnsName, parseUri } from "../../shared/text/name_syntax.ts";
import { expandTemplate, type PodFields } from "../../shared/attributes/templates.ts";

/** The names that a leaf for a pod's volume would bear, before policy has seen them. */
export interface RequestedNames {
  /** POD.NAMESPACE.svc.CLUSTER_DOMAIN; undefined where that is no DNS name (253, 63 characters). */
  readonly ownName: string | undefined;
  /** The pod's name alone, where that can be a DNS name; policy can withhold it. */
  readonly bareName: string | undefined;
  /** What the pod bears unless its volume asks for another. */
  readonly defaultCommonName: string;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly organizationalUnits: readonly string[];
  /** The templates that took in an annotation, which a node can write. */
  readonly fromAnnotations: readonly string[];
}

type Expansion = { readonly text: string } | { readonly problem: string };

/** RFC 5280, appendix A: ub-common-name. */
const longestCommonName = 64;

/** Puts the pod's fields into the volume's templates, or says which cannot be filled, and why. */
export function computeRequestedNames(
  pod: PodFields,
  attributes: VolumeAttributes,
  clusterDomain: string,
): { kind: "names"; names: RequestedNames } | { kind: "invalid"; reason: string } {
  const problems: string[] = [];
  const expand = (attribute: string, template: string, check: (text: string) => Expansion) => {
    const expansion = expandField(template, pod, check);
    if ("text" in expansion) return expansion.text;
    problems.push(`${attribute}: ${expansion.problem}`);
    return "";
  };
  const defaultCommonName = podCommonName(pod, clusterDomain);
  const ownName = podDnsName(pod, clusterDomain);
  const template = attributes.commonNameTemplate;
  const reserved = [...reservedBareNames, ...clusterDomain.split(".")];
  const names: RequestedNames = {
    ownName: parseDnsName(ownName),
    bareName: podBareName(pod.name, reserved),
    defaultCommonName,
    commonName: template === undefined ? defaultCommonName : expand(
      "cn_template",
      template,
      // The pod's own name may be over 64 characters, and then has a form that is not.
      (text) => text === ownName ? { text: defaultCommonName } : checkCommonName(text),
    ),
    dnsNames: attributes.dnsNames.map((name) => expand("dns-names", name, checkDnsName)),
    ipAddresses: attributes.ipAddresses,
    uris: attributes.uris.map((uri) => expand("uri-sans", uri, checkUri)),
    organizationalUnits: attributes.organizationalUnits,
    fromAnnotations: [template ?? "", ...attributes.dnsNames, ...attributes.uris]
      .filter((text) => text.includes("{metadata.annotations.")),
  };
  return problems.length > 0
    ? { kind: "invalid", reason: joinProblems(problems) }
    : { kind: "names", names };
}

function expandField(
  template: string,
  pod: PodFields,
  check: (text: string) => Expansion,
): Expansion {
  const expanded = expandTemplate(template, pod);
  if (expanded.kind === "missing") {
    return { problem: `${abbreviate(template)} needs {${expanded.field}}, ${whyMissing(pod)}` };
  }
  const checked = check(expanded.text);
  if ("text" in checked) return checked;
  const became = expanded.text === template ? "" : ` became "${abbreviate(expanded.text)}", which`;
  return { problem: `${abbreviate(template)}${became} ${checked.problem}` };
}

/** A pod that was looked up has labels, if only none. */
function whyMissing(pod: PodFields): string {
  return pod.labels === undefined
    ? "which the certificate service does not know: it runs without access to Kubernetes"
    : "which this pod does not have";
}

function checkCommonName(text: string): Expansion {
  if (parseDnsName(text) === undefined) return { problem: "is not a DNS name in lower case" };
  if (text.length <= longestCommonName) return { text };
  return { problem: `has ${text.length} characters; a common name has at most 64` };
}

function checkDnsName(text: string): Expansion {
  const name = parseDnsName(text, { wildcard: true });
  return name === undefined
    ? { problem: "is not a DNS name in lower case (labels of at most 63 characters, 253 in all)" }
    : { text: name };
}

function checkUri(text: string): Expansion {
  const uri = parseUri(text);
  return uri === undefined ? { problem: "is not an absolute URI" } : { text: uri };
}
