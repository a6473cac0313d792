import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** The programs that make up the node, by where they lie. */
export interface Parts {
  /** Holds kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kubectl. */
  readonly kubernetes: string;
  readonly version: string;
  /** A program that pods of the tests run, in Go: see tests/e2e/peer. */
  readonly peer: string;
}

/** What the machine has to offer, and the Debian packages that offer it. */
const required: Readonly<Record<string, string>> = {
  "/usr/bin/etcd": "etcd-server",
  "/usr/bin/containerd": "containerd",
  "/usr/bin/containerd-shim-runc-v2": "containerd",
  "/usr/bin/ctr": "containerd",
  "/usr/sbin/runc": "runc",
  "/bin/busybox": "busybox-static",
  "/usr/lib/cni/bridge": "containernetworking-plugins",
  "/usr/bin/openssl": "openssl",
  "/usr/bin/unshare": "util-linux",
  "/usr/sbin/ip": "iproute2",
};

const module = fileURLToPath(new URL("../../tests/e2e/kubernetes/", import.meta.url));
const peerSource = fileURLToPath(new URL("../../tests/e2e/peer/peer.go", import.meta.url));
const stamp = "k8s.io/component-base/version";

/** The parts, built from source if they are not in the cache; or a sentence on what is missing. */
export async function findParts(
  progress: (text: string) => Disposable,
): Promise<{ kind: "parts"; parts: Parts } | { kind: "missing"; reason: string }> {
  if (Deno.build.os !== "linux") return missing("a node needs Linux");
  if (Deno.uid() !== 0) return missing("a node needs root");
  const absent = Object.entries(required).filter(([path]) => !exists(path));
  if (absent.length > 0) {
    const packages = [...new Set(absent.map(([, name]) => name))].join(" ");
    return missing(`not installed: ${packages} (apt-get install -y ${packages})`);
  }
  const version = await kubernetesVersion();
  const kubernetes = `${cacheFolder()}/kubernetes-${version}-${Deno.build.arch}`;
  const peer = `${cacheFolder()}/peer-${await digestOf(peerSource)}-${Deno.build.arch}`;
  if (!exists(kubernetes) || !exists(peer)) {
    const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/local/go/bin"];
    const go = folders.map((folder) => `${folder}/go`).find(exists);
    if (!go) return missing(`Kubernetes ${version} is built from source, which needs Go 1.26`);
    using _building = progress(`building Kubernetes ${version} from source, once`);
    const problem = await buildKubernetes(go, version, kubernetes) ?? await buildPeer(go, peer);
    if (problem) return missing(problem);
  }
  return { kind: "parts", parts: { kubernetes, version, peer } };
}

function missing(reason: string): { kind: "missing"; reason: string } {
  return { kind: "missing", reason };
}

/** The version that go.mod pins. */
async function kubernetesVersion(): Promise<string> {
  const text = await Deno.readTextFile(`${module}go.mod`);
  const [, version] = /^(?:require )?\s*k8s\.io\/kubernetes (v\S+)/m.exec(text) ?? [];
  if (version === undefined) throw new Error(`${module}go.mod does not require k8s.io/kubernetes`);
  return version;
}

function cacheFolder(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`;
  return `${home}/csi-cert-driver`;
}

/** Builds the tools of go.mod into the folder, whole or not at all; returns what went wrong. */
async function buildKubernetes(
  go: string,
  version: string,
  folder: string,
): Promise<string | undefined> {
  if (exists(folder)) return;
  const [major, minor] = version.slice(1).split(".");
  const half = `${folder}.building`;
  await Deno.mkdir(half, { recursive: true });
  const stamps = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(stamps).map(([key, value]) => `-X ${stamp}.${key}=${value}`);
  const words = await goBuild(go, ["-s", "-w", ...flags].join(" "), `${half}/`, "tool");
  if (words !== undefined) return `Kubernetes ${version} could not be built: ${words}`;
  await Deno.rename(half, folder);
}

/** The same for the one file of the peer, which needs nothing but Go's own library. */
async function buildPeer(go: string, file: string): Promise<string | undefined> {
  if (exists(file)) return;
  const words = await goBuild(go, "-s -w", `${file}.building`, peerSource);
  if (words !== undefined) return `${peerSource} could not be built: ${words}`;
  await Deno.rename(`${file}.building`, file);
}

/** Static programs of these packages; returns the last words of a build that failed. */
async function goBuild(
  go: string,
  linkerFlags: string,
  output: string,
  packages: string,
): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command("nice", {
    args: ["-n", "19", go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath"]
      .concat("-ldflags", linkerFlags, "-o", output, packages),
    cwd: module,
    env: { CGO_ENABLED: "0" },
    stdin: "null",
  }).output();
  if (success) return undefined;
  return new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join("; ");
}

async function digestOf(file: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(file)).digest("hex").slice(0, 12);
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
