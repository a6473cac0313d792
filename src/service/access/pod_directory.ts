import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";

/** A pod as the cluster knows it. */
export interface ClusterPod extends PodFields {
  /** The node that runs it; undefined before it is scheduled. */
  readonly nodeName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Succeeded or failed: its containers will not run again. */
  readonly finished: boolean;
  /** Its deletion was requested; its containers may still run. */
  readonly deleting: boolean;
  /** A mirror pod, or one that a Node object owns: the node itself can create it. */
  readonly isMirrorPod: boolean;
  /** The volumeAttributes of its inline volumes of this driver, by the volume's name. */
  readonly volumes: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Looks up pods in the cluster. */
export interface PodDirectory {
  /** `absent`: no pod of this namespace, name and uid. */
  find(
    pod: Pick<PodIdentity, "namespace" | "name" | "uid">,
    signal: AbortSignal,
  ): Promise<
    | { readonly kind: "found"; readonly pod: ClusterPod }
    | { readonly kind: "absent" }
    | { readonly kind: "unavailable"; readonly problem: string }
  >;
}
