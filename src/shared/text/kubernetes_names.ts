import { isDnsLabel } from "./name_syntax.ts";

/** An object of a namespace, such as a Secret or a service account. */
export interface NamespacedName {
  readonly namespace: string;
  readonly name: string;
}

const subdomain = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/**
 * Whether a text can be the name of a pod, a node, a Secret or a service account: an RFC 1123
 * subdomain. Kubernetes limits the whole to 253 characters, and not each label.
 */
export function isObjectName(text: string): boolean {
  return text.length <= 253 && subdomain.test(text);
}

/**
 * Whether a text can be the id of a volume or the uid of an object. The CSI specification gives ids
 * 128 bytes; a uid that is not a UUID belongs to a static pod.
 */
export function isIdentifier(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(text);
}

const uid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$|^[0-9a-f]{32}$/;

/** Whether a text is a uid as the API server makes it, or, without the dashes, the kubelet for a static pod. */
export function isUid(text: string): boolean {
  return uid.test(text);
}

/** Reads "namespace/name"; undefined for anything else. */
export function parseNamespacedName(text: string): NamespacedName | undefined {
  const [namespace = "", name = "", ...rest] = text.split("/");
  if (rest.length > 0 || !isDnsLabel(namespace) || !isObjectName(name)) return undefined;
  return { namespace, name };
}
