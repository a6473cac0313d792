import { parseDnsName } from "../../shared/text/name_syntax.ts";

/** The pod's full DNS name, `POD.NAMESPACE.svc.CLUSTER_DOMAIN`. */
export function podDnsName(pod: { name: string; namespace: string }, clusterDomain: string) {
  return `${pod.name}.${pod.namespace}.svc.${clusterDomain}`;
}

/** RFC 5280, appendix A: ub-common-name. */
const longestCommonName = 64;

/**
 * The pod's full DNS name, or where that is over 64 characters its first 55, "-", and 8 hexadecimal
 * digits of the pod's uid: the first 8 found in it, in lower case, with zeros behind them where the
 * uid holds fewer. A plain cut would let a dotted pod name choose any common name.
 */
export function podCommonName(
  pod: { name: string; namespace: string; uid: string },
  clusterDomain: string,
): string {
  const name = podDnsName(pod, clusterDomain);
  if (name.length <= longestCommonName) return name;
  const digits = pod.uid.replace(/[^0-9A-Fa-f]/g, "").slice(0, 8).toLowerCase().padEnd(8, "0");
  return `${name.slice(0, longestCommonName - 9)}-${digits}`;
}

/** Names that no pod may bear bare: the machine's own, the API server's, and our service's labels. */
export const reservedBareNames: readonly string[] = [
  "localhost",
  "kubernetes",
  ..."cert-service.csi-cert-driver.internal".split("."),
  ..."csi-cert-system.svc.cluster.local".split("."),
];

/** The pod's name as a DNS name of its own: one label, not reserved, else undefined. */
export function podBareName(podName: string, reserved: readonly string[]): string | undefined {
  if (podName.includes(".") || reserved.includes(podName)) return undefined;
  return parseDnsName(podName);
}
