import { makePki } from "./pki.ts";
import type { Parts } from "./parts.ts";
import {
  addresses,
  auditPolicy,
  cniSettings,
  commandLines,
  containerdSettings,
  containerdSocket,
  etcdCommandLine,
  kubeletSettings,
  type Place,
} from "./settings.ts";

/** How long any part may take to answer; on a busy machine the API server needs half a minute. */
const patienceMs = 180_000;

/** What a kubelet sets for the whole machine; it finds them set, in files of the cluster's own. */
const requiredSysctls = {
  "vm/overcommit_memory": 1,
  "vm/panic_on_oom": 0,
  "kernel/panic": 10,
  "kernel/panic_on_oops": 1,
  "kernel/keys/root_maxkeys": 1_000_000,
  "kernel/keys/root_maxbytes": 25_000_000,
};

/**
 * A one-node Kubernetes in the namespaces of this process, which have to be its own: mounts,
 * network and processes end with the namespaces, so there is nothing to stop.
 */
export class ClusterNode {
  readonly #place: Place;
  readonly #parts: Parts;
  readonly #failures: string[] = [];
  #started = false;

  constructor(place: Place, parts: Parts) {
    this.#place = place;
    this.#parts = parts;
  }

  /** Starts everything and waits until the node is ready for pods. */
  async start(images: readonly string[]): Promise<void> {
    await this.#prepareMounts();
    await this.#prepareNetwork();
    await this.#writeSettings();
    const lines = commandLines(this.#place);
    const program = (name: string) => this.#spawn(name, [this.#kubernetes(name), ...lines[name]!]);
    this.#spawn("etcd", ["/usr/bin/etcd", ...etcdCommandLine(this.#place)]);
    this.#spawn("containerd", ["/usr/bin/containerd", "--config", this.#file("containerd.toml")]);
    program("kube-apiserver");
    await this.#until("containerd", () => succeeds(ctr("version")));
    for (const image of images) await run(ctr("images", "import", image));
    await this.#until("kube-apiserver", () => succeeds(this.#kubectl("get", "--raw", "/readyz")));
    for (const name of ["kube-controller-manager", "kube-scheduler", "kubelet"]) program(name);
    const node = ["wait", "--for=condition=Ready", `node/${this.#place.nodeName}`, "--timeout=1s"];
    await this.#until("kubelet", () => succeeds(this.#kubectl(...node)));
    const account = ["-n", "default", "get", "serviceaccount", "default"];
    await this.#until("kube-controller-manager", () => succeeds(this.#kubectl(...account)));
    this.#started = true;
  }

  /** Gives the cluster its own copies of the machine's paths that it uses, and keeps the sysctls. */
  async #prepareMounts(): Promise<void> {
    await run(["mount", "--make-rprivate", "/"]);
    await run(["mount", "-t", "tmpfs", "run", "/run"]);
    for (const path of ["/var/lib", "/var/log"]) {
      const own = `${this.#place.folder}${path}`;
      await Deno.mkdir(own, { recursive: true });
      await run(["mount", "--bind", own, path]);
    }
    for (const [name, value] of Object.entries(requiredSysctls)) {
      const own = this.#file(name.replaceAll("/", "."));
      await Deno.writeTextFile(own, `${value}\n`);
      await run(["mount", "--bind", own, `/proc/sys/${name}`]);
    }
    // Made shared after they were private, so that no two of them are peers.
    await run(["mount", "--make-rshared", "/"]);
    await Deno.mkdir("/run/containerd");
  }

  async #prepareNetwork(): Promise<void> {
    const { option, node, prefix, apiService, certService } = addresses[this.#place.family];
    const commands = [
      "link set lo up",
      // The addresses of the two Services that are used: this node answers to them itself.
      `${option} address add ${apiService} dev lo`,
      `${option} address add ${certService} dev lo`,
      "link add cni0 type bridge",
      `${option} address add ${node}/${prefix} dev cni0`,
      "link set cni0 up",
      `${option} route add default dev cni0`,
    ];
    for (const command of commands) await run(["ip", ...command.split(" ")]);
  }

  async #writeSettings(): Promise<void> {
    await makePki(this.#file("pki"), this.#place);
    await Deno.mkdir(this.#file("cni"));
    await Deno.mkdir(this.#file("logs"));
    await Deno.writeTextFile(
      this.#file("cni/e2e.conflist"),
      JSON.stringify(cniSettings(this.#place)),
    );
    await Deno.writeTextFile(this.#file("containerd.toml"), containerdSettings(this.#place));
    await Deno.writeTextFile(
      this.#file("kubelet.json"),
      JSON.stringify(kubeletSettings(this.#place)),
    );
    await Deno.writeTextFile(this.#file("audit-policy.json"), JSON.stringify(auditPolicy));
  }

  /** Starts a program that writes to a log file; the caller can wait for its end. */
  #spawn(name: string, command: readonly string[]): void {
    const log = this.#file(`logs/${name}.log`);
    const child = new Deno.Command("sh", {
      args: ["-c", 'exec "$@" >>"$0" 2>&1', log, ...command],
      cwd: this.#place.folder,
      stdin: "null",
    }).spawn();
    child.status.then(({ code }) => {
      // As on any node: what ends is started again, once all of it has run.
      if (this.#started) return this.#spawn(name, command);
      this.#failures.push(`${name} ended with code ${code}`);
    });
  }

  async #until(name: string, ready: () => Promise<boolean>): Promise<void> {
    const deadline = Date.now() + patienceMs;
    while (!await ready()) {
      const [failure] = this.#failures;
      if (failure || Date.now() > deadline) {
        const culprit = failure?.split(" ")[0] ?? name;
        const log = await Deno.readTextFile(this.#file(`logs/${culprit}.log`)).catch(() => "");
        const tail = log.split("\n").slice(-15).join("\n");
        throw new Error(`${failure ?? `${name} is not ready`}; its log ends with:\n${tail}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    console.log(`  ${name} is ready`);
  }

  #file(name: string): string {
    return `${this.#place.folder}/${name}`;
  }

  #kubernetes(name: string): string {
    return `${this.#parts.kubernetes}/${name}`;
  }

  #kubectl(...args: string[]): string[] {
    const kubeconfig = this.#file("pki/admin.kubeconfig");
    return [this.#kubernetes("kubectl"), "--kubeconfig", kubeconfig, ...args];
  }
}

/** `ctr` for the images and containers that the kubelet sees. */
function ctr(...args: string[]): string[] {
  return ["ctr", "--address", containerdSocket, "--namespace", "k8s.io", ...args];
}

async function succeeds([program = "", ...args]: readonly string[]): Promise<boolean> {
  const command = new Deno.Command(program, { args: [...args], stdin: "null" });
  return (await command.output()).success;
}

async function run([program = "", ...args]: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args: [...args], stdin: "null" })
    .output();
  const words = new TextDecoder().decode(stderr).trim();
  if (!success) throw new Error(`${program} ${args.join(" ")}: ${words}`);
}
