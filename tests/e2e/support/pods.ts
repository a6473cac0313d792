import { X509Certificate } from "node:crypto";
import {
  apply,
  getJson,
  kubectl,
  type KubectlOutcome,
  tryKubectl,
  until,
} from "../../../scripts/support/kubectl.ts";

/** How a test's pod differs from the default pod with a volume of the driver. */
export interface PodOptions {
  readonly name: string;
  readonly namespace?: string;
  readonly attributes?: Readonly<Record<string, string>>;
  /** Of the volume and of its mount; true by default. */
  readonly readOnly?: boolean;
  /** Of the mount alone. */
  readonly mountReadOnly?: boolean;
  readonly securityContext?: unknown;
  /** An emptyDir in place of the volume of ours, for comparison. */
  readonly plain?: boolean;
  /** Seconds for which its container continues after the request to delete it, or until `endDraining`. */
  readonly drainSeconds?: number;
  /** The command that it runs instead of waiting for its end. */
  readonly command?: readonly string[];
}

export const driverName = "csi.k8s.cert-driver";
const mountPath = "/certs";
const drained = "/tmp/drained";

/** Succeeds where certificate and key are a pair and verify with ca.crt, strictly. */
const verifyPair = "openssl verify -x509_strict -CAfile ca.crt tls.crt && " +
  'test "$(openssl x509 -in tls.crt -noout -pubkey)" = "$(openssl pkey -in tls.key -pubout)"';

/** A pod that only mounts the volume at /certs. */
export function podObject(options: PodOptions): unknown {
  const { name, namespace = "default", attributes, readOnly = true, drainSeconds = 0 } = options;
  const atTerm = drainSeconds > 0 ? `until test -e ${drained}; do sleep 0.2; done; exit` : "exit";
  const waiting = ["sh", "-c", `trap '${atTerm}' TERM; while :; do sleep 0.2; done`];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace, labels: { app: "e2e" } },
    spec: {
      terminationGracePeriodSeconds: drainSeconds + 1,
      securityContext: options.securityContext ?? {},
      automountServiceAccountToken: false,
      containers: [{
        name: "main",
        image: "busybox:1.37",
        command: options.command ?? waiting,
        volumeMounts: [{
          name: "certs",
          mountPath,
          readOnly: options.mountReadOnly ?? readOnly,
        }],
      }],
      volumes: [{
        name: "certs",
        ...(options.plain
          ? { emptyDir: {} }
          : { csi: { driver: driverName, readOnly, volumeAttributes: attributes ?? {} } }),
      }],
    },
  };
}

/** A pod of the cluster; disposing deletes it and waits until the kubelet has removed it. */
export class Pod implements AsyncDisposable {
  readonly name: string;
  readonly namespace: string;

  constructor({ name, namespace = "default" }: PodOptions) {
    this.name = name;
    this.namespace = namespace;
  }

  /** Creates one and waits until it is ready. */
  static async start(options: PodOptions): Promise<Pod> {
    const pod = await Pod.create(options);
    await pod.ready();
    return pod;
  }

  static async create(options: PodOptions): Promise<Pod> {
    await apply(podObject(options));
    return new Pod(options);
  }

  async ready(limitSeconds = 120): Promise<void> {
    const limit = `--timeout=${limitSeconds}s`;
    try {
      await this.#kubectl("wait", "--for=condition=Ready", `pod/${this.name}`, limit);
    } catch (error) {
      throw new Error(`${error}\n${(await this.events()).join("\n")}`);
    }
  }

  /** What is written to standard output by a shell command in its container. */
  async shell(command: string): Promise<string> {
    return (await this.#kubectl("exec", this.name, "--", "sh", "-c", command)).trim();
  }

  async tryShell(command: string): Promise<KubectlOutcome> {
    return await tryKubectl(["-n", this.namespace, "exec", this.name, "--", "sh", "-c", command]);
  }

  /** Whether certificate and key in its container are a pair that verifies with its ca.crt. */
  async holdsPair(folder: string = mountPath): Promise<boolean> {
    return (await this.tryShell(`cd ${folder} && ${verifyPair}`)).success;
  }

  /** The leaf that the container sees. */
  async certificate(file = "tls.crt"): Promise<X509Certificate> {
    return new X509Certificate(await this.shell(`cat ${mountPath}/${file}`));
  }

  /** Its object, as the API server has it. */
  // deno-lint-ignore no-explicit-any
  async object(): Promise<any> {
    return await getJson("pod", this.name, "-n", this.namespace);
  }

  /** How often its container was started again. */
  async restarts(): Promise<number> {
    const { status } = await this.object();
    return status.containerStatuses?.[0]?.restartCount ?? 0;
  }

  /** An event of a failed mount whose message matches. */
  async failedMount(words: RegExp, limitMs?: number): Promise<string> {
    return await until(
      `a FailedMount event of ${this.name} with ${words}`,
      async () =>
        (await this.events()).find((event) => event.startsWith("FailedMount") && words.test(event)),
      limitMs,
    );
  }

  /** The messages of its events. */
  async events(): Promise<string[]> {
    const about = `--field-selector=involvedObject.name=${this.name}`;
    const { items } = await getJson("events", "-n", this.namespace, about);
    return items.map(({ reason, message }: Event) => `${reason}: ${message}`);
  }

  /** Where the kubelet has the volume on the node. */
  async targetPath(): Promise<string> {
    const { metadata } = await this.object();
    return `/var/lib/kubelet/pods/${metadata.uid}/volumes/kubernetes.io~csi/certs/mount`;
  }

  /** Waits for another certificate than the one with this serial number. */
  async renewed(serialNumber: string, limitMs = 60_000): Promise<X509Certificate> {
    return await until(`${this.name}'s certificate is renewed`, async () => {
      const certificate = await this.certificate();
      return certificate.serialNumber === serialNumber ? undefined : certificate;
    }, limitMs);
  }

  /** Ends a container that drains: a second stop would not shorten the first. */
  async endDraining(): Promise<void> {
    await this.shell(`touch ${drained}`);
  }

  async remove(): Promise<void> {
    await this.#kubectl("delete", "pod", this.name, "--ignore-not-found", "--timeout=120s");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.remove();
  }

  #kubectl(...args: string[]): Promise<string> {
    return kubectl(["-n", this.namespace, ...args]);
  }
}

interface Event {
  readonly reason: string;
  readonly message: string;
}
