/** One kind of call to the API server, as RBAC grants it. */
export interface Permission {
  readonly apiGroup: string;
  readonly resource: string;
  readonly verb: "get" | "watch" | "patch" | "create";
  /** Undefined: in every namespace, or a resource that is in none. */
  readonly namespace?: string;
  /** Undefined: any object. */
  readonly name?: string;
}

/** An object's place. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export const createTokenReviews: Permission = {
  apiGroup: "authentication.k8s.io",
  resource: "tokenreviews",
  verb: "create",
};
export const getPods: Permission = { apiGroup: "", resource: "pods", verb: "get" };

export function secretPermission(verb: "get" | "watch", secret: ObjectName): Permission {
  return { apiGroup: "", resource: "secrets", verb, ...secret };
}

/**
 * Making one by its name is server-side apply: it is asked for as `patch`, and as `create` too where
 * the object is not there. A POST says its name too late for a rule with resourceNames to allow it.
 */
export function configMapPermission(
  verb: "get" | "watch" | "patch" | "create",
  configMap: ObjectName,
): Permission {
  return { apiGroup: "", resource: "configmaps", verb, ...configMap };
}

/** All that the service asks of the API server: what its role has to grant, and no more. */
export function servicePermissions(
  { secret, documents }: { readonly secret: ObjectName; readonly documents: readonly ObjectName[] },
): Permission[] {
  return [
    createTokenReviews,
    getPods,
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
  secret: { namespace: "csi-cert-system", name: "csi-ca-secret" },
  documents: [
    { namespace: "csi-cert-system", name: "csi-cert-trust-bundle" },
    { namespace: "csi-cert-system", name: "csi-cert-denials" },
  ],
});

/** The call in a few words: "get secrets csi-cert-system/csi-ca-secret". */
export function describeCall({ verb, resource, namespace, name }: Permission): string {
  const object = [namespace, name].filter((part) => part !== undefined).join("/");
  return object === "" ? `${verb} ${resource}` : `${verb} ${resource} ${object}`;
}

/** The RBAC rule that allows the call, in words for whoever mends it. */
export function describeRule({ apiGroup, resource, verb, namespace, name }: Permission): string {
  const names = name === undefined ? "" : `, resourceNames ["${name}"]`;
  const where = namespace === undefined ? "a ClusterRole" : `a Role in namespace ${namespace}`;
  // What is made by its name is patched into being.
  const verbs = verb === "create" && name !== undefined ? ["create", "patch"] : [verb];
  return `${where} with apiGroups ["${apiGroup}"], resources ["${resource}"]${names}, ` +
    `verbs ${JSON.stringify(verbs).replace(",", ", ")}`;
}
