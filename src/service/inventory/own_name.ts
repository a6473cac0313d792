import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import { parseDnsName } from "../../shared/text/name_syntax.ts";
import { podDnsName } from "../policy/default_names.ts";

/**
 * Whether a certificate bears this pod's own name, which the issuer writes in front of all others. A
 * later one proves nothing, because a pod may ask for the name of another one of its namespace. No
 * certificate bears an own name that DNS does not allow.
 */
export function bearsOwnName(
  { dnsNames }: { readonly dnsNames: readonly string[] },
  pod: Pick<PodIdentity, "namespace" | "name">,
  clusterDomain: string,
): boolean {
  const ownName = parseDnsName(podDnsName(pod, clusterDomain));
  return ownName !== undefined && dnsNames[0] === ownName;
}
