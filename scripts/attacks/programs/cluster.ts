/** The API server that a service with AUTHENTICATION=kubernetes calls: objects, tokens, and faults. */
import { podObject } from "../../support/api_pod.ts";
import { ApiServer } from "../../support/api_server.ts";
import type { NewCa } from "../../../src/service/admin/init_ca.ts";

export const namespace = "csi-cert-system";

export const nodeCount = 10;

export class AttackedCluster implements AsyncDisposable {
  readonly api: ApiServer;
  readonly kubeconfigFile: string;

  private constructor(api: ApiServer, kubeconfigFile: string) {
    this.api = api;
    this.kubeconfigFile = kubeconfigFile;
  }

  static async start(directory: string, ca: NewCa): Promise<AttackedCluster> {
    const api = await ApiServer.start();
    const kubeconfigFile = `${directory}/kubeconfig`;
    await Deno.writeTextFile(kubeconfigFile, kubeconfig(api));
    api.objects.put("secrets", {
      metadata: { namespace, name: "csi-ca-secret" },
      data: { "tls.crt": btoa(ca.certificatePem), "tls.key": btoa(ca.privateKeyPem) },
    });
    const cluster = new AttackedCluster(api, kubeconfigFile);
    for (let n = 0; n < nodeCount; n++) cluster.putPods(n);
    return cluster;
  }

  /** Node N's driver pod and the pod shop/web-N. */
  putPods(n: number): void {
    this.api.objects.put("pods", podObject(podOf(n)));
    this.api.objects.put("pods", driverPod(n));
  }

  /** The token of a node's driver pod. */
  token(n: number): string {
    return this.api.tokens.make({
      node: nodeName(n),
      pod: { name: driverPodName(n), uid: driverPodUid(n) },
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]();
  }
}

export function nodeName(n: number): string {
  return `node-${n}`;
}

/** The uid of the pod shop/web-N, which runs on node N. */
export function podUid(n: number): string {
  return `0f8fad5b-d9cb-469f-a165-${String(n).padStart(12, "0")}`;
}

export function driverPodName(n: number): string {
  return `csi-cert-driver-${n}`;
}

/** The uid of the driver's pod on node N. */
export function driverPodUid(n: number): string {
  return `5a1d7c1e-0000-4000-8000-${String(n).padStart(12, "0")}`;
}

function podOf(n: number) {
  return {
    metadata: { name: `web-${n}`, uid: podUid(n) },
    spec: { nodeName: nodeName(n) },
  };
}

function driverPod(n: number) {
  return podObject({
    metadata: { name: driverPodName(n), namespace, uid: driverPodUid(n), labels: {} },
    spec: { nodeName: nodeName(n), serviceAccountName: "csi-cert-driver", volumes: [] },
  });
}

function kubeconfig(api: ApiServer): string {
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [{
      name: "suite",
      cluster: { server: api.url, "certificate-authority-data": btoa(api.authorityPem) },
    }],
    users: [{ name: "service", user: { token: "service-token" } }],
    contexts: [{ name: "suite", context: { cluster: "suite", user: "service" } }],
    "current-context": "suite",
  });
}
