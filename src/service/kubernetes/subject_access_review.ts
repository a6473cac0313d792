import type { OperatorAccess, OperatorAction } from "../access/operator_access.ts";
import { toUnavailable, unavailable } from "./api_result.ts";
import type { ApiClient } from "./api_client.ts";
import { BoundedSemaphore } from "../../shared/scheduler/semaphore.ts";
import { createAccessReviews } from "./permissions.ts";

/** What a role has to grant; no such resource exists, RBAC only compares the words. */
const resource = { group: "csi.k8s.cert-driver", resource: "certificates" };
const verbs = { list: "list", get: "get", revoke: "delete" } satisfies Record<
  OperatorAction,
  string
>;

const serviceAccount = /^system:serviceaccount:([^:]+):[^:]+$/;

/**
 * Asks the cluster's authorisation what an operator may do: list, get and delete (revoke)
 * `certificates.csi.k8s.cert-driver` in all namespaces, as a ClusterRole can grant it.
 */
export class SubjectAccessReviewer implements OperatorAccess {
  readonly #connection: ApiClient;
  readonly #gate = new BoundedSemaphore({ concurrency: 4, capacity: 64 });

  constructor(connection: ApiClient) {
    this.#connection = connection;
  }

  async review(
    operator: string,
    action: OperatorAction,
    signal: AbortSignal,
  ): ReturnType<OperatorAccess["review"]> {
    const verb = verbs[action];
    const spec = {
      user: operator,
      groups: groupsOf(operator),
      resourceAttributes: { ...resource, verb },
    };
    const ask = () =>
      this.#connection.call(
        createAccessReviews,
        signal,
        ({ authorization }) => authorization.createSubjectAccessReview({ body: { spec } }),
      );
    const queued = await this.#gate.run(ask, signal);
    if (queued === undefined) return reasoned(unavailable("too many reviews wait already"));
    const { value: answer } = queued;
    if (answer.kind !== "answer") return reasoned(toUnavailable(answer));
    const { allowed, denied } = answer.value.status ?? {};
    if (allowed === true && denied !== true) return { kind: "allowed" };
    return {
      kind: "denied",
      reason: `${operator} may not ${action} certificates: it lacks a ClusterRole with ` +
        `apiGroups ["${resource.group}"], resources ["${resource.resource}"], verbs ["${verb}"]`,
    };
  }
}

/** The groups that a service account is in; operators are service accounts. */
function groupsOf(operator: string): string[] {
  const namespace = serviceAccount.exec(operator)?.[1];
  if (namespace === undefined) return ["system:authenticated"];
  return [
    "system:serviceaccounts",
    `system:serviceaccounts:${namespace}`,
    "system:authenticated",
  ];
}

function reasoned({ problem }: { problem: string }): { kind: "unavailable"; reason: string } {
  return { kind: "unavailable", reason: problem };
}
