import { system } from "../../../scripts/support/install.ts";
import { getJson } from "../../../scripts/support/kubectl.ts";

/** One right that RBAC grants, or the use of one. */
export interface Right {
  readonly account: string;
  /** "*" for all namespaces, or for an object without one. */
  readonly namespace: string;
  readonly apiGroup: string;
  readonly resource: string;
  /** "*" for any object. */
  readonly name: string;
  readonly verb: string;
}

/** A line of the API server's audit log, as far as it is read here. */
export interface AuditEvent {
  readonly verb: string;
  readonly requestURI: string;
  readonly requestReceivedTimestamp: string;
  readonly user: { readonly username: string };
  readonly objectRef?: {
    readonly resource: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly apiGroup?: string;
  };
  readonly responseStatus?: { readonly code: number };
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Every call of the product's accounts to the API server since the node's start. */
export async function auditEvents(): Promise<AuditEvent[]> {
  const log = await Deno.readTextFile(`${Deno.env.get("E2E_FOLDER")}/logs/audit.jsonl`);
  // The last line may be half written.
  const lines = log.slice(0, log.lastIndexOf("\n") + 1).trim().split("\n");
  return lines.map((line) => JSON.parse(line));
}

export const accountOf = ({ user }: AuditEvent) => user.username.split(":").at(-1) ?? "";

/** Descriptions of the calls that the API server refused, since an instant or since the start. */
export async function refusedCalls(since = new Date(0)): Promise<string[]> {
  return (await auditEvents()).filter((event) =>
    event.responseStatus?.code === 403 && new Date(event.requestReceivedTimestamp) >= since
  ).map((event) => `${accountOf(event)}: ${event.verb} ${event.requestURI}`);
}

/** What a call used of what RBAC grants: two rights where an apply made the object. */
export function rightsUsed(event: AuditEvent): Right[] {
  const { objectRef, requestURI, responseStatus, verb } = event;
  const code = responseStatus?.code;
  if (code === undefined || code === 403) return [];
  if (objectRef === undefined) return [urlRight(accountOf(event), requestURI, verb)];
  const right = {
    account: accountOf(event),
    namespace: objectRef.namespace ?? "*",
    apiGroup: objectRef.apiGroup ?? "",
    resource: objectRef.resource,
    name: objectRef.name ?? "*",
    verb,
  };
  // Authorised as a patch, and as a create when there is no object to patch.
  return verb === "patch" && code === 201 ? [right, { ...right, verb: "create" }] : [right];
}

/** A right to a URL that is no object's. */
function urlRight(account: string, resource: string, verb: string): Right {
  return { account, namespace: "*", apiGroup: "", resource, name: "*", verb };
}

/** Whether the use is one of the right. */
export function covers(right: Right, used: Right): boolean {
  return right.account === used.account && right.verb === used.verb &&
    right.apiGroup === used.apiGroup && right.resource === used.resource &&
    ["*", used.namespace].includes(right.namespace) && ["*", used.name].includes(right.name);
}

interface Binding {
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly roleRef: { readonly kind: "Role" | "ClusterRole"; readonly name: string };
  readonly subjects?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly namespace?: string;
  }[];
}

interface Rule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

/** Every right of the accounts, one by one, by the bindings that the cluster has for them. */
export async function rightsGranted(accounts: readonly string[]): Promise<Right[]> {
  const rights: Right[] = [];
  for (const kind of ["rolebindings", "clusterrolebindings"]) {
    const { items } = await getJson(kind, "--all-namespaces");
    for (const { metadata, roleRef, subjects = [] } of items as Binding[]) {
      const bound = subjects.filter(({ kind, name, namespace }) =>
        kind === "ServiceAccount" && namespace === system && accounts.includes(name)
      );
      if (bound.length === 0) continue;
      const where = metadata.namespace === undefined ? [] : ["-n", metadata.namespace];
      const { rules } = await getJson(roleRef.kind.toLowerCase(), roleRef.name, ...where);
      for (const { name } of bound) {
        rights.push(
          ...rules.flatMap((rule: Rule) => rightsOf(rule, name, metadata.namespace ?? "*")),
        );
      }
    }
  }
  return rights;
}

function rightsOf(rule: Rule, account: string, namespace: string): Right[] {
  const { apiGroups = [], resources = [], resourceNames = ["*"], nonResourceURLs = [], verbs } =
    rule;
  const urls = nonResourceURLs.flatMap((url) => verbs.map((verb) => urlRight(account, url, verb)));
  return urls.concat(
    apiGroups.flatMap((apiGroup) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) =>
          verbs.map((verb) => ({ account, namespace, apiGroup, resource, name, verb }))
        )
      )
    ),
  );
}

export function rightText({ account, verb, apiGroup, resource, namespace, name }: Right): string {
  return `${account}: ${verb} ${resource}.${apiGroup} ${namespace}/${name}`;
}
