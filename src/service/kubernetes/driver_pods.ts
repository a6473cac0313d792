import type { V1Pod } from "@kubernetes/client-node";
import { isObjectName, type NamespacedName } from "../../shared/text/kubernetes_names.ts";
import type { DriverPodDirectory } from "../access/driver_pod_check.ts";
import type { DriverPod, DriverPods } from "../attestation/attestor.ts";
import type { ApiClient } from "./api_client.ts";
import { toUnavailable } from "./api_result.ts";
import { listDriverPods } from "./permissions.ts";
import { getPod, isFinished } from "./pod_directory.ts";

/** More pods than one namespace has on a node. */
const maxPods = 500;

/** The pods of the driver's service account, in its namespace. */
export function apiServerDriverPods(
  client: ApiClient,
  { namespace, name: account }: NamespacedName,
): DriverPods & DriverPodDirectory {
  return {
    find: async (name, signal) => {
      const answer = await getPod(client, { namespace, name }, signal);
      if (answer.kind !== "answer") return answer;
      const pod = readPod(answer.value);
      return pod === undefined ? { kind: "absent" } : { kind: "found", pod };
    },
    // A node certificate states the uid of its pod and not the name, so that the node's pods are listed.
    runs: async ({ node, uid }, signal) => {
      if (!isObjectName(node)) return { kind: "answer", runs: false };
      const fieldSelector = `spec.nodeName=${node}`;
      const answer = await client.call(
        listDriverPods(namespace),
        signal,
        ({ core }) => core.listNamespacedPod({ namespace, fieldSelector, limit: maxPods }),
      );
      if (answer.kind !== "answer") return toUnavailable(answer);
      const runs = answer.value.items.map(readPod).some((pod) =>
        pod?.uid === uid && pod.node === node && pod.serviceAccount === account && !pod.finished
      );
      return { kind: "answer", runs };
    },
  };
}

/** Undefined for an object without the fields that every stored pod has. */
function readPod(pod: V1Pod): DriverPod | undefined {
  const { metadata, spec } = pod;
  if (!metadata?.uid || !spec) return undefined;
  return {
    uid: metadata.uid,
    node: spec.nodeName || undefined,
    // The API server fills it in at admission.
    serviceAccount: spec.serviceAccountName ?? "default",
    finished: isFinished(pod),
  };
}
