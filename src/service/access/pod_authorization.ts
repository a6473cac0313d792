import type { DriverCaller } from "./authenticator.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";

/** A pod as the cluster knows it. */
export interface ClusterPod extends PodFields {
  /** The node that runs it; undefined before it is scheduled. */
  readonly nodeName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Succeeded or failed: its containers will not run again. */
  readonly finished: boolean;
  /** When the time ends that its deletion gives its containers; undefined while it is not being deleted. */
  readonly deletionTimestamp: Temporal.Instant | undefined;
  /** A mirror pod, or one that a Node object owns: the node itself can create it. */
  readonly isMirrorPod: boolean;
  /** The volumeAttributes of its inline volumes of this driver, by the volume's name. */
  readonly volumes: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/**
 * How long after its deletionTimestamp a pod may renew. Its containers can run for longer, because its
 * node is slow or does not answer, but it cannot keep its certificates for ever.
 */
const renewalAfterDeletion = { minutes: 5 };

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

/** The pod and the volume for which a certificate is requested. */
export interface VolumeRequest {
  readonly pod: PodIdentity;
  readonly volumeName: string;
  /** The volumeAttributes as the caller states them. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The serial number of the certificate to be renewed; undefined for the first one. */
  readonly predecessor: string | undefined;
}

export type PodAuthorization =
  /** With the pod and the volume's attributes as the cluster states them, where there is one. */
  | {
    readonly kind: "authorized";
    readonly pod: PodFields;
    readonly attributes: Readonly<Record<string, string>>;
  }
  | { readonly kind: "denied"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

/** Decides whether the caller may receive a certificate for this pod's volume. */
export async function authorizePod(
  caller: DriverCaller,
  request: VolumeRequest,
  directory: PodDirectory | undefined,
  clock: Clock,
  signal: AbortSignal,
): Promise<PodAuthorization> {
  const { namespace, name, uid, serviceAccount } = request.pod;
  if (directory === undefined) {
    const pod = { namespace, name, uid, serviceAccountName: serviceAccount };
    return { kind: "authorized", pod, attributes: request.attributes };
  }
  const answer = await directory.find({ namespace, name, uid }, signal);
  switch (answer.kind) {
    case "found": {
      const reason = rejectionReason(caller, request, answer.pod, clock.now());
      if (reason !== undefined) return { kind: "denied", reason };
      const attributes = answer.pod.volumes.get(request.volumeName) ?? {};
      return { kind: "authorized", pod: answer.pod, attributes };
    }
    case "absent":
      return { kind: "denied", reason: `there is no pod ${namespace}/${name} with uid ${uid}` };
    case "unavailable":
      return { kind: "unavailable", reason: answer.problem };
    default:
      return answer satisfies never;
  }
}

/** States the first check that fails, and reveals nothing else of the pod. */
function rejectionReason(
  caller: DriverCaller,
  request: VolumeRequest,
  pod: ClusterPod,
  now: Temporal.Instant,
): string | undefined {
  const { name, namespace, uid, serviceAccount } = request.pod;
  const podText = `pod ${namespace}/${name}`;
  if (pod.uid !== uid || pod.name !== name || pod.namespace !== namespace) {
    return `there is no ${podText} with uid ${uid}`;
  }
  if (caller.kind === "node" && pod.nodeName !== caller.node) {
    return `${podText} does not run on node ${caller.node}`;
  }
  if (pod.serviceAccountName !== serviceAccount) {
    return `${podText} does not run as service account ${serviceAccount}`;
  }
  if (pod.isMirrorPod) return `${podText} is a mirror pod: its node could give it any name`;
  if (pod.finished) return `${podText} is finished`;
  const deletionReason = deletionRejectionReason(request, pod, now);
  if (deletionReason !== undefined) return `${podText} ${deletionReason}`;
  if (!pod.volumes.has(request.volumeName)) {
    return `${podText} has no volume ${request.volumeName} of this driver in its spec`;
  }
  return undefined;
}

/** A pod that is being deleted may still use its certificate, so that it can renew it for a time. */
function deletionRejectionReason(
  { predecessor }: VolumeRequest,
  { deletionTimestamp }: ClusterPod,
  now: Temporal.Instant,
): string | undefined {
  if (deletionTimestamp === undefined) return undefined;
  if (predecessor === undefined) return "is being deleted";
  const last = deletionTimestamp.add(renewalAfterDeletion);
  if (Temporal.Instant.compare(now, last) <= 0) return undefined;
  return `was to end at ${deletionTimestamp}, and could renew its certificates until ${last}`;
}
