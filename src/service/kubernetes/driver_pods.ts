import type { V1Pod } from "@kubernetes/client-node";
import { isObjectName, type NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { DriverPodDirectory } from "../access/driver_pod_check.ts";
import type { DriverPod, DriverPods } from "../attestation/attestor.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable } from "./api_result.ts";
import { getPods, listDriverPods } from "./permissions.ts";

/** More than one namespace's pods on a node can be. */
const mostPods = 500;

/** The pods of the driver's service account, in its namespace. */
export class ApiServerDriverPods implements DriverPods, DriverPodDirectory {
  readonly #connection: ApiClient;
  readonly #account: NamespacedName;

  constructor(connection: ApiClient, account: NamespacedName) {
    this.#connection = connection;
    this.#account = account;
  }

  async find(name: string, signal: AbortSignal): ReturnType<DriverPods["find"]> {
    // Anything else must not become a part of a path or a selector.
    if (!isObjectName(name)) return { kind: "absent" };
    const { namespace } = this.#account;
    const answer = await this.#connection.call(
      getPods,
      signal,
      ({ core }) => core.readNamespacedPod({ namespace, name }),
    );
    if (answer.kind === "absent") return answer;
    if (answer.kind !== "answer") return toUnavailable(answer);
    const pod = readPod(answer.value);
    return pod === undefined ? { kind: "absent" } : { kind: "found", pod };
  }

  /** A node certificate states its pod's uid and not its name, so that the node's pods are listed. */
  async runs(
    { node, uid }: { readonly node: string; readonly uid: string },
    signal: AbortSignal,
  ): ReturnType<DriverPodDirectory["runs"]> {
    if (!isObjectName(node)) return { kind: "answer", runs: false };
    const { namespace, name: account } = this.#account;
    const fieldSelector = `spec.nodeName=${node}`;
    const answer = await this.#connection.call(
      listDriverPods(namespace),
      signal,
      ({ core }) => core.listNamespacedPod({ namespace, fieldSelector, limit: mostPods }),
    );
    if (answer.kind !== "answer") return toUnavailable(answer);
    const runs = answer.value.items.map(readPod).some((pod) =>
      pod?.uid === uid && pod.node === node && pod.serviceAccount === account && !pod.finished
    );
    return { kind: "answer", runs };
  }
}

/** Undefined for an object that lacks what every stored pod has. */
function readPod({ metadata, spec, status }: V1Pod): DriverPod | undefined {
  if (!metadata?.uid || !spec) return undefined;
  return {
    uid: metadata.uid,
    node: spec.nodeName || undefined,
    // The API server fills it in at admission.
    serviceAccount: spec.serviceAccountName ?? "default",
    finished: status?.phase === "Succeeded" || status?.phase === "Failed",
  };
}
