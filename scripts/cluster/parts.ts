import { buildKubernetes, buildTools, digestOfTools, kubernetesVersion } from "./go_programs.ts";

/** The folders of the programs that make up the node. */
export interface Parts {
  /** Contains kube-apiserver, kube-controller-manager, kube-scheduler, kubelet and kubectl. */
  readonly kubernetes: string;
  readonly version: string;
  /** Contains the peer that pods of the tests run: see tests/e2e/peer. */
  readonly tools: string;
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
  const tools = `${cacheFolder()}/e2e-tools-${await digestOfTools()}-${Deno.build.arch}`;
  if (!exists(kubernetes) || !exists(tools)) {
    const folders = [...(Deno.env.get("PATH") ?? "").split(":"), "/usr/local/go/bin"];
    const go = folders.map((folder) => `${folder}/go`).find(exists);
    if (!go) return missing(`Kubernetes ${version} is built from source, which needs Go 1.26`);
    using _building = progress(`building Kubernetes ${version} and tools from source, once`);
    const problem = await whole(kubernetes, (half) => buildKubernetes(go, version, half)) ??
      await whole(tools, (half) => buildTools(go, half));
    if (problem) return missing(problem);
  }
  return { kind: "parts", parts: { kubernetes, version, tools } };
}

/** Has the folder filled under another name first: it is there whole or not at all. */
async function whole(
  folder: string,
  fill: (half: string) => Promise<string | undefined>,
): Promise<string | undefined> {
  if (exists(folder)) return undefined;
  const half = `${folder}.building`;
  await Deno.mkdir(half, { recursive: true });
  const problem = await fill(half);
  if (problem === undefined) await Deno.rename(half, folder);
  return problem;
}

function missing(reason: string): { kind: "missing"; reason: string } {
  return { kind: "missing", reason };
}

function cacheFolder(): string {
  const home = Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") || "/root"}/.cache`;
  return `${home}/csi-cert-driver`;
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
