import topLevelDomains from "tlds" with { type: "json" };

/**
 * Top-level domains of special use: RFC 6761, 6762 (with those of its appendix G that private
 * networks use), 7686, 8375, 9476, ICANN's "internal", "mail", which ICANN does not delegate because
 * many private networks use it, and names that routers and older systems give to the local network.
 */
const specialDomains = ["localhost", "local", "internal", "test", "example", "invalid", "onion"]
  .concat("arpa", "alt", "corp", "home", "lan", "intranet", "private", "mail")
  .concat("localdomain", "domain", "workgroup", "intra", "dmz");
const special = new Set(specialDomains);

/** IANA's list, in which names in other scripts are not in the form that a namespace has. */
const publicDomains = new Set(topLevelDomains);
/** These names as A-labels ("xn--…"). Made when one is asked for, because it takes milliseconds. */
let internationalDomains: ReadonlySet<string | undefined> | undefined;

/**
 * Why LABEL.NAMESPACE can be a name outside of the namespace, in words that follow the namespace;
 * undefined when it cannot. Such names are not granted by default, although in a pod the cluster's
 * DNS answers for them before the Internet's does: outside of the cluster they belong to others.
 */
export function outsideMeaning(namespace: string): string | undefined {
  if (isPublicDomain(namespace)) return "is a public top-level domain";
  if (special.has(namespace)) return "is a top-level domain of private networks or of special use";
  return undefined;
}

function isPublicDomain(label: string): boolean {
  if (!label.startsWith("xn--")) return publicDomains.has(label);
  internationalDomains ??= new Set(
    topLevelDomains.filter((name) => !/^[a-z0-9-]+$/.test(name))
      .map((name) => URL.parse(`http://${name}/`)?.hostname),
  );
  return internationalDomains.has(label);
}

/** Whether LABEL.NAMESPACE has the form of the cluster's own names, which no rule can grant. */
export function isClusterLabel(namespace: string, clusterDomain: string): boolean {
  return ["svc", "pod", ...clusterDomain.split(".")].includes(namespace);
}
