import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";

/** The module whose go.mod names the programs to build as tools, and the one program of our own. */
const source = (path: string) => fileURLToPath(new URL(`../../tests/e2e/${path}`, import.meta.url));
const kubernetes = source("kubernetes/");
const peer = source("peer/");
const relabel = fileURLToPath(new URL("../../tests/selinux/relabel.go", import.meta.url));

const stamp = "k8s.io/component-base/version";

/** The version that go.mod pins. */
export async function kubernetesVersion(): Promise<string> {
  const text = await Deno.readTextFile(`${kubernetes}go.mod`);
  const [, version] = /^(?:require )?\s*k8s\.io\/kubernetes (v\S+)/m.exec(text) ?? [];
  if (version === undefined) {
    throw new Error(`${kubernetes}go.mod does not require k8s.io/kubernetes`);
  }
  return version;
}

/** Over what the tools are built from, so that a change is a folder of its own in the cache. */
export async function digestOfTools(): Promise<string> {
  const hash = createHash("sha256");
  hash.update(await Deno.readFile(`${peer}peer.go`));
  return hash.digest("hex").slice(0, 12);
}

/** Builds a node's programs into the folder; returns what went wrong. */
export async function buildKubernetes(
  go: string,
  version: string,
  folder: string,
): Promise<string | undefined> {
  const [major, minor] = version.slice(1).split(".");
  const stamps = { gitVersion: version, gitMajor: major, gitMinor: minor };
  const flags = Object.entries(stamps).map(([key, value]) => `-X ${stamp}.${key}=${value}`);
  const words = await build(go, kubernetes, [...flags], `${folder}/`, "tool");
  return words && `Kubernetes ${version} could not be built: ${words}`;
}

/** The same for the peer. */
export async function buildTools(go: string, folder: string): Promise<string | undefined> {
  const words = await build(go, peer, [], `${folder}/peer`, "peer.go");
  return words && `the tools could not be built: ${words}`;
}

/** The program that does what a kubelet and a runtime do with a volume's SELinux label. */
export async function buildRelabel(go: string, folder: string): Promise<string | undefined> {
  const words = await build(go, kubernetes, [], `${folder}/relabel`, relabel);
  return words && `${relabel} could not be built: ${words}`;
}

/** Static programs of a module's packages; returns the end of the output of a build that failed. */
async function build(
  go: string,
  module: string,
  linkerFlags: readonly string[],
  output: string,
  packages: string,
): Promise<string | undefined> {
  const { success, stderr } = await new Deno.Command("nice", {
    args: ["-n", "19", go, "build", "-mod=readonly", "-buildvcs=false", "-trimpath"]
      .concat("-ldflags", ["-s", "-w", ...linkerFlags].join(" "), "-o", output, packages),
    cwd: module,
    env: { CGO_ENABLED: "0" },
    stdin: "null",
  }).output();
  if (success) return undefined;
  return new TextDecoder().decode(stderr).trim().split("\n").slice(-3).join("; ");
}
