import type { V1Pod } from "@kubernetes/client-node";
import type { ClusterPod, PodDirectory } from "../access/pod_authorization.ts";
import { isObjectName, type NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { toUnavailable } from "./api_result.ts";
import type { ApiClient } from "./api_client.ts";
import { getPods } from "./permissions.ts";

/**
 * Looks each pod up in the API server. No answer is kept: a pod that was deleted, replaced or finished
 * a second ago must not get a certificate, and a cache would rarely hold an answer, because a volume's
 * look-ups are most of a certificate's lifetime apart. The caller's queue limits how many run at once.
 */
export function apiServerPodDirectory(client: ApiClient): PodDirectory {
  return {
    find: async ({ namespace, name, uid }, signal) => {
      const answer = await getPod(client, { namespace, name }, signal);
      if (answer.kind !== "answer") return answer;
      const pod = readPod(answer.value);
      return pod?.uid === uid ? { kind: "found", pod } : { kind: "absent" };
    },
  };
}

/** Gets a pod from the API server. Anything but names is absent, and must not become a part of a path. */
export async function getPod(
  client: ApiClient,
  { namespace, name }: NamespacedName,
  signal: AbortSignal,
) {
  if (!isDnsLabel(namespace) || !isObjectName(name)) return { kind: "absent" } as const;
  const answer = await client.call(
    getPods,
    signal,
    ({ core }) => core.readNamespacedPod({ namespace, name }),
  );
  return answer.kind === "answer" || answer.kind === "absent" ? answer : toUnavailable(answer);
}

/** Whether the pod's containers have ended and do not run again. */
export function isFinished({ status }: V1Pod): boolean {
  return status?.phase === "Succeeded" || status?.phase === "Failed";
}

/** Undefined for an object without the fields that every stored pod has. */
function readPod(pod: V1Pod): ClusterPod | undefined {
  const { metadata, spec } = pod;
  if (!metadata?.name || !metadata.namespace || !metadata.uid || !spec) return undefined;
  const { annotations = {}, ownerReferences = [], labels = {} } = metadata;
  const { nodeName, hostname, subdomain } = spec;
  return {
    name: metadata.name,
    namespace: metadata.namespace,
    uid: metadata.uid,
    // The API server fills it in at admission.
    serviceAccountName: spec.serviceAccountName ?? "default",
    ...(nodeName ? { nodeName } : {}),
    ...(hostname ? { hostname } : {}),
    ...(subdomain ? { subdomain } : {}),
    labels,
    annotations,
    finished: isFinished(pod),
    deletionTimestamp: metadata.deletionTimestamp &&
      Temporal.Instant.fromEpochMilliseconds(metadata.deletionTimestamp.getTime()),
    isMirrorPod: "kubernetes.io/config.mirror" in annotations ||
      ownerReferences.some(({ kind }) => kind === "Node"),
    volumes: new Map(
      (spec.volumes ?? []).flatMap(({ name, csi }) =>
        csi?.driver === driverName ? [[name, csi.volumeAttributes ?? {}] as const] : []
      ),
    ),
  };
}
