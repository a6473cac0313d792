import { createHash, randomUUID } from "node:crypto";
import { Identity, Node } from "../../src/shared/gen/csi_pb.ts";
import { Registration } from "../../src/shared/gen/plugin_registration_pb.ts";
import { connect } from "../../src/shared/grpc_client/client.ts";
import { driverName } from "../../src/shared/text/product_names.ts";

/** A pod as its author writes it, as far as our volume is concerned. */
export interface PodSpec {
  readonly name: string;
  readonly namespace: string;
  readonly attributes?: Record<string, string>;
  readonly readOnly?: boolean;
  readonly serviceAccount?: string;
  /** The pod's fsGroup. */
  readonly group?: number;
}

/** One pod's volume on this node. */
export interface PodVolume {
  readonly pod: PodSpec;
  readonly uid: string;
  readonly volumeId: string;
  readonly targetPath: string;
}

const volumeName = "certs";
/** A real kubelet's deadline for a call. */
const callMs = 120_000;

/** Calls the driver as a real kubelet (1.36) was recorded to call it, in the same order. */
export class Kubelet {
  readonly root: string;
  readonly registrationDir: string;
  readonly #onAdmit: (volume: PodVolume) => void;
  #endpoint = "";

  /** `onAdmit` receives each volume before anything is called for it. */
  constructor(root: string, onAdmit: (volume: PodVolume) => void = () => {}) {
    this.root = root;
    this.#onAdmit = onAdmit;
    this.registrationDir = `${root}/plugins_registry`;
  }

  /** The handshake on the registration socket, then NodeGetInfo; returns the driver's answer. */
  async register(): Promise<{ name: string; endpoint: string; nodeId: string }> {
    const socket = `${this.registrationDir}/${driverName}-reg.sock`;
    using registration = connect(Registration, { address: `unix://${socket}` });
    const { name, endpoint, type, supportedVersions } = await registration.getInfo({}, {
      timeoutMs: callMs,
    });
    if (type !== "CSIPlugin" || !supportedVersions.includes("1.0.0")) {
      throw new Error(`the driver registered as ${type} ${supportedVersions}`);
    }
    this.#endpoint = endpoint;
    using node = this.node();
    const { nodeId } = await node.nodeGetInfo({}, { timeoutMs: callMs });
    await registration.notifyRegistrationStatus({ pluginRegistered: true }, { timeoutMs: callMs });
    return { name, endpoint, nodeId };
  }

  node() {
    return connect(Node, { address: `unix://${this.#endpoint}` });
  }

  identity() {
    return connect(Identity, { address: `unix://${this.#endpoint}` });
  }

  /** Names a volume as the kubelet does, without a call to the driver. */
  admit(pod: PodSpec, uid: string = randomUUID()): PodVolume {
    const hash = createHash("sha256").update(`${volumeName}${this.root}${uid}`).digest("hex");
    const targetPath = `${this.root}/pods/${uid}/volumes/kubernetes.io~csi/${volumeName}/mount`;
    const volume = { pod, uid, volumeId: `csi-${hash}`, targetPath };
    this.#onAdmit(volume);
    return volume;
  }

  /** Makes the parent directory and the kubelet's file beside the target, then calls NodePublishVolume. */
  async publish(volume: PodVolume): Promise<void> {
    await this.note(volume);
    await this.#capabilities();
    using node = this.node();
    await node.nodePublishVolume(publishRequest(volume), { timeoutMs: callMs });
  }

  /** Opens a connection for each call, as a real kubelet does. */
  async #capabilities(): Promise<void> {
    using node = this.node();
    await node.nodeGetCapabilities({}, { timeoutMs: callMs });
  }

  /** Makes the files that the kubelet makes before it calls. */
  async note({ targetPath, uid, volumeId }: PodVolume): Promise<void> {
    const parent = targetPath.slice(0, -"/mount".length);
    await Deno.mkdir(parent, { recursive: true, mode: 0o750 });
    const note = { podUID: uid, driverName, volumeHandle: volumeId };
    await Deno.writeTextFile(`${parent}/vol_data.json`, JSON.stringify(note));
  }

  /** Calls NodeUnpublishVolume, then removes the pod's directory. */
  async unpublish({ volumeId, targetPath, uid }: PodVolume): Promise<void> {
    using node = this.node();
    await node.nodeUnpublishVolume({ volumeId, targetPath }, { timeoutMs: callMs });
    await Deno.remove(`${targetPath.slice(0, -"/mount".length)}/vol_data.json`);
    // Not recursive below the target: a target that the driver did not remove must be noticed.
    await Deno.remove(targetPath.slice(0, -"/mount".length));
    await Deno.remove(`${this.root}/pods/${uid}`, { recursive: true });
  }
}

/** The request a kubelet sends for a volume. */
export function publishRequest({ pod, uid, volumeId, targetPath }: PodVolume) {
  const { group } = pod;
  const mount = group === undefined ? {} : { volumeMountGroup: String(group) };
  return {
    volumeId,
    targetPath,
    volumeCapability: {
      accessType: { case: "mount" as const, value: mount },
      accessMode: { mode: 1 },
    },
    readonly: pod.readOnly ?? true,
    volumeContext: {
      ...pod.attributes,
      "csi.storage.k8s.io/pod.name": pod.name,
      "csi.storage.k8s.io/pod.namespace": pod.namespace,
      "csi.storage.k8s.io/pod.uid": uid,
      "csi.storage.k8s.io/serviceAccount.name": pod.serviceAccount ?? "default",
      "csi.storage.k8s.io/ephemeral": "true",
    },
  };
}
