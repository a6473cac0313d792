import {
  cacheFolder,
  fillOnce,
  findGo,
  missingPackages,
  pathExists,
} from "../support/build_cache.ts";
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
  const absent = missingPackages(required);
  if (absent !== undefined) return missing(absent);
  const version = await kubernetesVersion();
  const kubernetes = `${cacheFolder()}/kubernetes-${version}-${Deno.build.arch}`;
  const tools = `${cacheFolder()}/e2e-tools-${await digestOfTools()}-${Deno.build.arch}`;
  if (!pathExists(kubernetes) || !pathExists(tools)) {
    const go = findGo();
    if (!go) return missing(`Kubernetes ${version} is built from source, which needs Go 1.26`);
    using _building = progress(`building Kubernetes ${version} and tools from source, once`);
    const problem = await fillOnce(kubernetes, (incomplete) =>
      buildKubernetes(go, version, incomplete)) ??
      await fillOnce(tools, (incomplete) => buildTools(go, incomplete));
    if (problem) return missing(problem);
  }
  return { kind: "parts", parts: { kubernetes, version, tools } };
}

function missing(reason: string): { kind: "missing"; reason: string } {
  return { kind: "missing", reason };
}
