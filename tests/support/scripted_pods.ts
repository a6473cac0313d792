import type { ClusterPod, PodDirectory } from "../../src/service/access/pod_authorization.ts";
import type { PodIdentity } from "../../src/shared/attributes/pod_identity.ts";

/** A pod as the cluster states it, which runs on node-1 and has one volume. */
export function clusterPod(
  { namespace, name, uid, serviceAccount }: PodIdentity,
  given: Partial<ClusterPod> = {},
): ClusterPod {
  return {
    namespace,
    name,
    uid,
    serviceAccountName: serviceAccount,
    nodeName: "node-1",
    labels: {},
    annotations: {},
    finished: false,
    deletionTimestamp: undefined,
    isMirrorPod: false,
    volumes: new Map([["certs", {}]]),
    ...given,
  };
}

/** The pods of a cluster, which a test creates and deletes, and an API server that can fail. */
export class ScriptedPods implements PodDirectory {
  readonly #pods = new Map<string, ClusterPod>();
  failure: string | undefined;
  /** How many times a pod was looked up. */
  finds = 0;

  constructor(...pods: ClusterPod[]) {
    for (const pod of pods) this.create(pod);
  }

  create(pod: ClusterPod): void {
    this.#pods.set(`${pod.namespace}/${pod.name}`, pod);
  }

  delete({ namespace, name }: { readonly namespace: string; readonly name: string }): void {
    this.#pods.delete(`${namespace}/${name}`);
  }

  find({ namespace, name, uid }: Pick<PodIdentity, "namespace" | "name" | "uid">) {
    this.finds++;
    if (this.failure !== undefined) {
      return Promise.resolve({ kind: "unavailable", problem: this.failure } as const);
    }
    const pod = this.#pods.get(`${namespace}/${name}`);
    return Promise.resolve(
      pod?.uid === uid ? { kind: "found", pod } as const : { kind: "absent" } as const,
    );
  }
}
