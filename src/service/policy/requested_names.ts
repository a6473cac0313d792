import { abbreviate, joinProblems } from "../../shared/text/printable_text.ts";
import type { VolumeAttributes } from "../../shared/attributes/volume_attributes.ts";
import { computeDefaultNames, type DefaultNames, podDnsName } from "./default_names.ts";
import { maxCommonNameLength, parseDnsName, parseUri } from "../../shared/text/name_syntax.ts";
import { expandTemplate, type PodFields } from "../../shared/attributes/templates.ts";

/** The names of a certificate for a pod's volume, before the policy is applied. */
export interface RequestedNames {
  readonly defaults: DefaultNames;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly uris: readonly string[];
  readonly organizationalUnits: readonly string[];
  /** The templates that use an annotation, which a node can write. */
  readonly fromAnnotations: readonly { readonly attribute: string; readonly template: string }[];
}

type Expansion = { readonly text: string } | { readonly problem: string };

/** Expands the volume's templates with the pod's fields, or reports those that cannot be expanded. */
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
  const defaults = computeDefaultNames(pod, clusterDomain);
  const fullName = podDnsName(pod, clusterDomain);
  const template = attributes.commonNameTemplate;
  const names: RequestedNames = {
    defaults,
    commonName: template === undefined ? defaults.commonName : expand(
      "cn_template",
      template,
      // The pod's full name can be longer than a common name; the default is then a shorter form.
      (text) => text === fullName ? { text: defaults.commonName } : checkCommonName(text),
    ),
    dnsNames: attributes.dnsNames.map((name) => expand("dns-names", name, checkDnsName)),
    ipAddresses: attributes.ipAddresses,
    uris: attributes.uris.map((uri) => expand("uri-sans", uri, checkUri)),
    organizationalUnits: attributes.organizationalUnits,
    fromAnnotations: [
      { attribute: "cn_template", template: template ?? "" },
      ...attributes.dnsNames.map((template) => ({ attribute: "dns-names", template })),
      ...attributes.uris.map((template) => ({ attribute: "uri-sans", template })),
    ].filter(({ template }) => template.includes("{metadata.annotations.")),
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

/** Labels are undefined only where the pod was not looked up. */
function whyMissing(pod: PodFields): string {
  return pod.labels === undefined
    ? "which the certificate service does not know: it runs without access to Kubernetes"
    : "which this pod does not have";
}

function checkCommonName(text: string): Expansion {
  if (parseDnsName(text) === undefined) return { problem: "is not a DNS name in lower case" };
  if (text.length <= maxCommonNameLength) return { text };
  return {
    problem: `has ${text.length} characters; a common name has at most ${maxCommonNameLength}`,
  };
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
