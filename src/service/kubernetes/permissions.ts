import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { installed } from "../../shared/text/product_names.ts";

/** One kind of call to the API server, as RBAC grants it. */
export interface Permission {
  /** In place of a resource: a path, such as /openid/v1/jwks. */
  readonly nonResourcePath?: string;
  readonly apiGroup: string;
  readonly resource: string;
  readonly verb: "get" | "list" | "watch" | "patch" | "create";
  /** Undefined: in every namespace, or a resource that is in none. */
  readonly namespace?: string;
  /** Undefined: any object. */
  readonly name?: string;
}

export const createTokenReviews: Permission = {
  apiGroup: "authentication.k8s.io",
  resource: "tokenreviews",
  verb: "create",
};
export const getPods: Permission = { apiGroup: "", resource: "pods", verb: "get" };

/** The pods of the driver's service account: of one node, so that the uid of one can be confirmed. */
export function listDriverPods(namespace: string): Permission {
  return { apiGroup: "", resource: "pods", verb: "list", namespace };
}

/**
 * The public keys of service accounts' tokens. Kubernetes grants this to every service account by
 * default (ClusterRole system:service-account-issuer-discovery); the shipped role grants it as well,
 * because an administrator can have removed that binding.
 */
export const readTokenKeys: Permission = {
  apiGroup: "",
  resource: "",
  nonResourcePath: "/openid/v1/jwks",
  verb: "get",
};

export function secretPermission(verb: "get" | "watch", secret: NamespacedName): Permission {
  return { apiGroup: "", resource: "secrets", verb, ...secret };
}

/**
 * Making one by its name is server-side apply: it is asked for as `patch`, and as `create` too where
 * the object is not there. A POST says its name too late for a rule with resourceNames to allow it.
 */
export function configMapPermission(
  verb: "get" | "watch" | "patch" | "create",
  configMap: NamespacedName,
): Permission {
  return { apiGroup: "", resource: "configmaps", verb, ...configMap };
}

/** All that the service asks of the API server: what its role has to grant, and no more. */
export function servicePermissions(
  { driverNamespace, secret, documents }: {
    readonly driverNamespace: string;
    readonly secret: NamespacedName;
    readonly documents: readonly NamespacedName[];
  },
): Permission[] {
  return [
    createTokenReviews,
    getPods,
    readTokenKeys,
    listDriverPods(driverNamespace),
    secretPermission("get", secret),
    secretPermission("watch", secret),
    ...documents.flatMap((document) =>
      (["get", "watch", "create", "patch"] as const).map((verb) =>
        configMapPermission(verb, document)
      )
    ),
  ];
}

/** What the manifests in deploy/ install. */
export const shippedPermissions: readonly Permission[] = servicePermissions({
  driverNamespace: installed.namespace,
  secret: { namespace: installed.namespace, name: installed.caSecret },
  documents: [installed.trustBundle, installed.denials].map((name) => ({
    namespace: installed.namespace,
    name,
  })),
});

/** The call in a few words: "get secrets csi-cert-system/csi-ca-secret". */
export function describeCall(
  { verb, resource, namespace, name, nonResourcePath }: Permission,
): string {
  if (nonResourcePath !== undefined) return `${verb} ${nonResourcePath}`;
  const object = [namespace, name].filter((part) => part !== undefined).join("/");
  return object === "" ? `${verb} ${resource}` : `${verb} ${resource} ${object}`;
}

/** The RBAC rule that allows the call, in words for an operator. */
export function describeRule(
  { apiGroup, resource, verb, namespace, name, nonResourcePath }: Permission,
): string {
  if (nonResourcePath !== undefined) {
    return `a ClusterRole with nonResourceURLs ["${nonResourcePath}"], verbs ["${verb}"]; ` +
      "Kubernetes' own is system:service-account-issuer-discovery";
  }
  const names = name === undefined ? "" : `, resourceNames ["${name}"]`;
  const where = namespace === undefined ? "a ClusterRole" : `a Role in namespace ${namespace}`;
  // An object that is made by its name is made by a patch.
  const verbs = verb === "create" && name !== undefined ? ["create", "patch"] : [verb];
  return `${where} with apiGroups ["${apiGroup}"], resources ["${resource}"]${names}, ` +
    `verbs ${JSON.stringify(verbs).replace(",", ", ")}`;
}
