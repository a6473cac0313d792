import { podObject } from "../support/api_pod.ts";
import { ApiServer } from "../support/api_server.ts";
import type { PodVolume } from "../support/kubelet.ts";

const driverPod = {
  namespace: "csi-cert-system",
  name: "csi-cert-driver-demo",
  uid: "5a1d7c1e-0000-4000-8000-00000000de30",
};

/** What the demo needs of a cluster: an API server that knows the pods, and the driver's token. */
export class DemoCluster implements AsyncDisposable {
  readonly api: ApiServer;
  readonly #base: string;
  readonly #nodeName: string;

  private constructor(api: ApiServer, base: string, nodeName: string) {
    this.api = api;
    this.#base = base;
    this.#nodeName = nodeName;
  }

  /** Starts the API server on a free port of the address, and writes kubeconfig and token below `base`. */
  static async start(base: string, nodeName: string, hostname: string): Promise<DemoCluster> {
    const cluster = new DemoCluster(await ApiServer.start({ hostname }), base, nodeName);
    const { namespace, name, uid } = driverPod;
    const token = cluster.api.tokens.make({ pod: { name, uid }, node: nodeName });
    await Deno.writeTextFile(cluster.#tokenFile, token, { mode: 0o600 });
    await Deno.writeTextFile(cluster.#kubeconfig, cluster.#kubeconfigText(), { mode: 0o600 });
    cluster.api.objects.put(
      "pods",
      podObject({
        metadata: { namespace, name, uid },
        spec: { nodeName, serviceAccountName: "csi-cert-driver" },
      }),
    );
    return cluster;
  }

  /** The service's variables; it attests nodes at the address ("host:port"). */
  serviceEnv(attestationAddress: string): Record<string, string> {
    return {
      AUTHENTICATION: "kubernetes",
      KUBECONFIG: this.#kubeconfig,
      ATTESTATION_LISTEN_ADDR: attestationAddress,
      CLUSTER_ID: "demo",
    };
  }

  /** The driver's variables; it attests at the address ("host:port"). */
  driverEnv(attestationAddress: string): Record<string, string> {
    return {
      CERT_SERVICE_TOKEN_FILE: this.#tokenFile,
      ATTESTATION_ADDR: `https://${attestationAddress}`,
    };
  }

  /** Creates the pod of a volume, as the API server has it once it is on the node. */
  admit({ pod, uid }: PodVolume): void {
    const { namespace, name, attributes = {}, serviceAccount = "default" } = pod;
    this.api.objects.put(
      "pods",
      podObject({
        metadata: { namespace, name, uid },
        spec: { nodeName: this.#nodeName, serviceAccountName: serviceAccount },
        attributes,
      }),
    );
  }

  get #tokenFile(): string {
    return `${this.#base}/token`;
  }

  get #kubeconfig(): string {
    return `${this.#base}/kubeconfig`;
  }

  #kubeconfigText(): string {
    const { url, authorityPem } = this.api;
    return JSON.stringify({
      apiVersion: "v1",
      kind: "Config",
      clusters: [{
        name: "demo",
        cluster: { server: url, "certificate-authority-data": btoa(authorityPem) },
      }],
      users: [{ name: "service", user: { token: "service-token" } }],
      contexts: [{ name: "demo", context: { cluster: "demo", user: "service" } }],
      "current-context": "demo",
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]();
  }
}
