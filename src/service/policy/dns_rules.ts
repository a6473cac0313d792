import { parseDnsName } from "../../shared/text/name_syntax.ts";
import { serviceDomain } from "../../shared/text/product_names.ts";

/** Names of the installation that are reserved. */
interface ReservingNames {
  readonly clusterDomain: string;
  readonly servingName: string;
}

/**
 * Why no policy can grant a name, in words that follow the name; undefined when a policy could. A
 * wildcard is checked for every name that it covers.
 */
export function reservedNameReason(
  name: string,
  { clusterDomain, servingName }: ReservingNames,
): string | undefined {
  const covered = name.replace(/^\*\./, "");
  if (isWithin(covered, serviceDomain) || matchesDnsPattern(servingName, name)) {
    return "belongs to the certificate service itself";
  }
  if (isWithin(covered, "localhost")) return "is the name of every machine";
  if (isWithin(clusterDomain, covered)) return "is the cluster's own domain or contains it";
  if (name.startsWith("*.") && covered === `svc.${clusterDomain}`) {
    return "covers every namespace";
  }
  const apiServer = ["kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    .concat(`kubernetes.default.svc.${clusterDomain}`);
  if (apiServer.some((reserved) => matchesDnsPattern(reserved, name))) {
    return "is, or covers, a name of the Kubernetes API server";
  }
  return undefined;
}

/** Whether a name is a label before .NAMESPACE. */
export function isShortName(name: string, namespace: string): boolean {
  const [label, last, ...others] = name.split(".");
  return last === namespace && others.length === 0 && label !== "*";
}

/**
 * Whether a name is one that every pod of the namespace may ask for: one or two labels before
 * .NAMESPACE.svc and .NAMESPACE.svc.CLUSTER_DOMAIN, where the first may be "*".
 */
export function isNamespaceName(name: string, namespace: string, clusterDomain: string): boolean {
  return [`.${namespace}.svc`, `.${namespace}.svc.${clusterDomain}`].some((suffix) => {
    const before = name.endsWith(suffix) ? name.slice(0, -suffix.length).split(".") : [];
    return before.length === 1 || before.length === 2;
  });
}

/** Whether a name matches a pattern label by label; "*" in the pattern matches exactly one label. */
export function matchesDnsPattern(name: string, pattern: string): boolean {
  const [labels, patterns] = [name.split("."), pattern.split(".")];
  return labels.length === patterns.length &&
    patterns.every((part, at) => part === "*" || part === labels[at]);
}

/**
 * Reads a pattern of `matchesDnsPattern`: a DNS name in which "*" can replace whole labels, with at
 * least two literal labels after the last "*".
 */
export function parseDnsPattern(text: string): string | undefined {
  const name = text.split(".").map((label) => label === "*" ? "x" : label).join(".");
  if (parseDnsName(name) === undefined) return undefined;
  const literals = text.slice(text.lastIndexOf("*") + 1).split(".").filter((part) => part !== "");
  return text.includes("*") && literals.length < 2 ? undefined : text;
}

function isWithin(name: string, domain: string): boolean {
  return name === domain || name.endsWith(`.${domain}`);
}
