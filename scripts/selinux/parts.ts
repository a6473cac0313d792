import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { buildRelabel } from "../cluster/go_programs.ts";
import {
  cacheFolder,
  fillOnce,
  findGo,
  missingPackages,
  pathExists,
} from "../support/build_cache.ts";
import { makeKernelAndPolicy } from "./debian_packages.ts";

/** A folder that contains `vmlinuz`, `policy` and `relabel`. */
export interface MachineParts {
  readonly folder: string;
}

/** What the machine has to offer, and the Debian packages that offer it. */
const required: Readonly<Record<string, string>> = {
  "/usr/bin/qemu-system-x86_64": "qemu-system-x86",
  "/usr/bin/apt-get": "apt",
  "/usr/bin/cpio": "cpio",
  "/bin/busybox": "busybox-static",
  "/bin/bzip2": "bzip2",
};

const sources = ["containers.cil", "relabel.go"].map((name) =>
  fileURLToPath(new URL(`../../tests/selinux/${name}`, import.meta.url))
);
const [containers = ""] = sources;

/** The parts, fetched and built if they are not in the cache; or a sentence on what is missing. */
export async function findMachineParts(
  progress: (text: string) => Disposable,
): Promise<{ kind: "parts"; parts: MachineParts } | { kind: "missing"; reason: string }> {
  if (Deno.build.os !== "linux" || Deno.build.arch !== "x86_64") {
    return { kind: "missing", reason: "the virtual machine needs Linux on x86_64" };
  }
  const reason = missingPackages(required);
  if (reason !== undefined) return { kind: "missing", reason };
  const folder = `${cacheFolder()}/selinux-${await digest()}`;
  if (pathExists(folder)) return { kind: "parts", parts: { folder } };
  const go = findGo();
  if (!go) {
    return { kind: "missing", reason: "the kubelet's code is compiled, which needs Go 1.26" };
  }
  using _building = progress("fetching Debian's kernel and SELinux policy, once");
  const reasonOfDownload = await fillOnce(folder, async (incomplete) => {
    const reason = await makeKernelAndPolicy(incomplete, containers);
    if (reason !== undefined) return reason;
    const error = await buildRelabel(go, incomplete);
    if (error !== undefined) throw new Error(error);
  });
  return reasonOfDownload === undefined
    ? { kind: "parts", parts: { folder } }
    : { kind: "missing", reason: reasonOfDownload };
}

async function digest(): Promise<string> {
  const hash = createHash("sha256");
  for (const path of sources) hash.update(await Deno.readFile(path));
  return hash.digest("hex").slice(0, 12);
}
