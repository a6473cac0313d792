import type { DriverCaller } from "./authenticator.ts";
import type { ClusterPod, PodDirectory } from "./pod_directory.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { PodFields } from "../../shared/attributes/templates.ts";

/** What a caller wants a certificate for. */
export interface VolumeRequest {
  readonly pod: PodIdentity;
  readonly volumeName: string;
  /** The volumeAttributes as the caller states them. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The serial number of the certificate to be renewed; undefined for a first one. */
  readonly predecessor: string | undefined;
}

export type PodAuthorization =
  /** The pod and the volume's attributes, from the cluster where that can be asked. */
  | {
    readonly kind: "authorised";
    readonly pod: PodFields;
    readonly attributes: Readonly<Record<string, string>>;
  }
  | { readonly kind: "denied"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string };

/** Whether the caller may have a certificate for this pod's volume. */
export async function authorizePod(
  caller: DriverCaller,
  request: VolumeRequest,
  directory: PodDirectory | undefined,
  signal: AbortSignal,
): Promise<PodAuthorization> {
  const { namespace, name, uid, serviceAccount } = request.pod;
  if (directory === undefined) {
    const pod = { namespace, name, uid, serviceAccountName: serviceAccount };
    return { kind: "authorised", pod, attributes: request.attributes };
  }
  const answer = await directory.find({ namespace, name, uid }, signal);
  switch (answer.kind) {
    case "found": {
      const reason = rejectionReason(caller, request, answer.pod);
      if (reason !== undefined) return { kind: "denied", reason };
      const attributes = answer.pod.volumes.get(request.volumeName) ?? {};
      return { kind: "authorised", pod: answer.pod, attributes };
    }
    case "absent":
      return { kind: "denied", reason: `there is no pod ${namespace}/${name} with uid ${uid}` };
    case "unavailable":
      return { kind: "unavailable", reason: answer.problem };
    default:
      return answer satisfies never;
  }
}

/** The first check that fails, in words that reveal nothing else of the pod. */
function rejectionReason(
  caller: DriverCaller,
  request: VolumeRequest,
  pod: ClusterPod,
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
  if (pod.isMirrorPod) return `${podText} was made by its node, which could give it any name`;
  if (pod.finished) return `${podText} is finished`;
  // A pod that drains still reads its key.
  if (pod.deleting && request.predecessor === undefined) return `${podText} is being deleted`;
  if (!pod.volumes.has(request.volumeName)) {
    return `${podText} has no volume ${request.volumeName} of this driver in its spec`;
  }
  return undefined;
}
