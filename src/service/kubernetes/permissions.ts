import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { installed } from "../../shared/text/product_names.ts";

/** A kind of call to the API server, as RBAC grants it. */
export interface Permission {
  /** Instead of a resource: a path, such as /openid/v1/jwks. */
  readonly nonResourcePath?: string;
  readonly apiGroup: string;
  readonly resource: string;
  readonly verb: "get" | "list" | "watch" | "patch" | "create";
  /** Undefined: in every namespace, or a resource that is in none. */
  readonly namespace?: string;
  /** Undefined: any object. */
  readonly name?: string;
}

/** A permission for one object. */
export type ObjectPermission = Permission & NamespacedName;
export type PathPermission = Permission & { readonly nonResourcePath: string };

export const createTokenReviews: Permission = {
  apiGroup: "authentication.k8s.io",
  resource: "tokenreviews",
  verb: "create",
};
export const getPods: Permission = { apiGroup: "", resource: "pods", verb: "get" };

/** The pods in the driver's namespace, of one node at a time, to confirm the uid of one. */
export function listDriverPods(namespace: string): Permission {
  return { apiGroup: "", resource: "pods", verb: "list", namespace };
}

/**
 * The public keys of service accounts' tokens. Kubernetes grants this to every service account by
 * default (ClusterRole system:service-account-issuer-discovery); the shipped role grants it as well,
 * because an administrator can have removed that binding.
 */
export const readTokenKeys: PathPermission = {
  apiGroup: "",
  resource: "",
  nonResourcePath: "/openid/v1/jwks",
  verb: "get",
};

export function secretPermission(verb: "get" | "watch", secret: NamespacedName): ObjectPermission {
  return { apiGroup: "", resource: "secrets", verb, ...secret };
}

/**
 * The service makes a ConfigMap by server-side apply, which needs `patch`, and also `create` where the
 * ConfigMap does not exist. A rule with resourceNames cannot allow a POST, because its URL has no name.
 */
export function configMapPermission(
  verb: "get" | "watch" | "patch" | "create",
  configMap: NamespacedName,
): ObjectPermission {
  return { apiGroup: "", resource: "configmaps", verb, ...configMap };
}

const { namespace } = installed;
const caSecret = { namespace, name: installed.caSecret };
const documents = [installed.trustBundle, installed.denials].map((name) => ({ namespace, name }));

/**
 * Every call of the service to the API server, in an installation with the names of
 * deploy/base/csi-driver.yaml: the roles of that manifest grant exactly these.
 */
export const shippedPermissions: readonly Permission[] = [
  createTokenReviews,
  getPods,
  readTokenKeys,
  listDriverPods(namespace),
  secretPermission("get", caSecret),
  secretPermission("watch", caSecret),
  ...documents.flatMap((document) =>
    (["get", "watch", "create", "patch"] as const).map((verb) =>
      configMapPermission(verb, document)
    )
  ),
];

/** The call in a few words: "get secrets csi-cert-system/csi-ca-secret". */
export function describeCall(
  { verb, resource, namespace, name, nonResourcePath }: Permission,
): string {
  if (nonResourcePath !== undefined) return `${verb} ${nonResourcePath}`;
  const object = [namespace, name].filter((part) => part !== undefined).join("/");
  return object === "" ? `${verb} ${resource}` : `${verb} ${resource} ${object}`;
}

/** The RBAC rule that allows the call, as a text for operators. */
export function describeRule(
  { apiGroup, resource, verb, namespace, name, nonResourcePath }: Permission,
): string {
  if (nonResourcePath !== undefined) {
    return `a ClusterRole with nonResourceURLs ["${nonResourcePath}"], verbs ["${verb}"]; ` +
      "Kubernetes' own is system:service-account-issuer-discovery";
  }
  const names = name === undefined ? "" : `, resourceNames ["${name}"]`;
  const where = namespace === undefined ? "a ClusterRole" : `a Role in namespace ${namespace}`;
  // An object with a known name is made by server-side apply.
  const verbs = verb === "create" && name !== undefined ? ["create", "patch"] : [verb];
  return `${where} with apiGroups ["${apiGroup}"], resources ["${resource}"]${names}, ` +
    `verbs ${JSON.stringify(verbs).replace(",", ", ")}`;
}
