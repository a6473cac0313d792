import { maxCommonNameLength, parseDnsName } from "../../shared/text/name_syntax.ts";
import { installed, serverName } from "../../shared/text/product_names.ts";

/** The names of a pod whose volume asks for none. */
export interface DefaultNames {
  /** POD.NAMESPACE.svc.CLUSTER_DOMAIN; undefined where DNS does not allow it (63, 253 characters). */
  readonly fullName: string | undefined;
  /** The pod's name alone; undefined where that is not one label, or is reserved. */
  readonly bareName: string | undefined;
  readonly commonName: string;
}

export function computeDefaultNames(
  pod: { readonly name: string; readonly namespace: string; readonly uid: string },
  clusterDomain: string,
): DefaultNames {
  const reserved = [...reservedBareNames, ...clusterDomain.split(".")];
  return {
    fullName: parseDnsName(podDnsName(pod, clusterDomain)),
    bareName: podBareName(pod.name, reserved),
    commonName: podCommonName(pod, clusterDomain),
  };
}

/** The pod's full DNS name, `POD.NAMESPACE.svc.CLUSTER_DOMAIN`. */
export function podDnsName(pod: { name: string; namespace: string }, clusterDomain: string) {
  return `${pod.name}.${pod.namespace}.svc.${clusterDomain}`;
}

/**
 * The pod's full DNS name, or where that is over 64 characters its first 55, "-", and 8 hexadecimal
 * digits of the pod's uid: the first 8 found in it, in lower case, followed by zeros where the uid
 * holds fewer. If the name were only cut, a dotted pod name could choose any common name.
 */
export function podCommonName(
  pod: { name: string; namespace: string; uid: string },
  clusterDomain: string,
): string {
  const name = podDnsName(pod, clusterDomain);
  if (name.length <= maxCommonNameLength) return name;
  const digits = pod.uid.replace(/[^0-9A-Fa-f]/g, "").slice(0, 8).toLowerCase().padEnd(8, "0");
  return `${name.slice(0, maxCommonNameLength - 9)}-${digits}`;
}

/** The pod's own SPIFFE ID, which its volume has to ask for: that of its service account. */
export function podSpiffeId(
  pod: { readonly namespace: string; readonly serviceAccountName: string },
  trustDomain: string,
): string {
  return `spiffe://${trustDomain}/ns/${pod.namespace}/sa/${pod.serviceAccountName}`;
}

/** Labels with a meaning of their own: this machine, the API server, and parts of the service's names. */
export const reservedBareNames: readonly string[] = [
  "localhost",
  "kubernetes",
  ...serverName.split("."),
  ...`${installed.namespace}.svc.cluster.local`.split("."),
];

/** The pod's name as a DNS name: one label that is not reserved, else undefined. */
export function podBareName(podName: string, reserved: readonly string[]): string | undefined {
  if (podName.includes(".") || reserved.includes(podName)) return undefined;
  return parseDnsName(podName);
}
