import type { V1Pod } from "@kubernetes/client-node";
import type { ClusterPod, PodDirectory } from "../access/pod_directory.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import { isObjectName } from "../../shared/text/kubernetes_names.ts";
import { isDnsLabel } from "../../shared/text/name_syntax.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { toUnavailable } from "./api_result.ts";
import type { ApiClient } from "./api_client.ts";
import { getPods } from "./permissions.ts";

/**
 * The cluster's pods, asked for one by one. Nothing is kept: a pod that was deleted, replaced or
 * finished a second ago must not get a certificate because it was asked for before, and a
 * certificate is asked for so seldom (two thirds of a lifetime apart) that a cache would hold
 * nothing else. How many look-ups wait and run at once is bounded by the caller's queue.
 */
export class KubernetesPodDirectory implements PodDirectory {
  readonly #connection: ApiClient;

  constructor(connection: ApiClient) {
    this.#connection = connection;
  }

  async find(
    { namespace, name, uid }: Pick<PodIdentity, "namespace" | "name" | "uid">,
    signal: AbortSignal,
  ): ReturnType<PodDirectory["find"]> {
    // Anything else must not become a part of a path.
    if (!isDnsLabel(namespace) || !isObjectName(name)) return { kind: "absent" };
    const answer = await this.#connection.call(
      getPods,
      signal,
      ({ core }) => core.readNamespacedPod({ namespace, name }),
    );
    if (answer.kind === "absent") return answer;
    if (answer.kind !== "answer") return toUnavailable(answer);
    const pod = observedPod(answer.value);
    return pod?.uid === uid ? { kind: "found", pod } : { kind: "absent" };
  }
}

/** Undefined for an object that lacks what every stored pod has. */
export function observedPod({ metadata, spec, status }: V1Pod): ClusterPod | undefined {
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
    finished: status?.phase === "Succeeded" || status?.phase === "Failed",
    deleting: metadata.deletionTimestamp !== undefined,
    isMirrorPod: "kubernetes.io/config.mirror" in annotations ||
      ownerReferences.some(({ kind }) => kind === "Node"),
    volumes: new Map(
      (spec.volumes ?? []).flatMap(({ name, csi }) =>
        csi?.driver === driverName ? [[name, csi.volumeAttributes ?? {}] as const] : []
      ),
    ),
  };
}
