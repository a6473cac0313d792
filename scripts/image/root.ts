import { dirname } from "node:path";
import { libcryptoPaths } from "../../src/service/openssl/libcrypto.ts";
import { bundleAll } from "../bundle.ts";
import { bundleFlags, entryOf, programFlags, type ProgramName } from "../permissions.ts";

const programs: readonly ProgramName[] = ["csi-driver", "cert-service"];
const binaries = "/usr/local/bin";
const bundles = "/usr/local/lib/csi-cert-driver";

/**
 * What starts a program in the image.
 *
 * `compiled`: the self-contained binary, which is what the Containerfile ships.
 * `bundle`: the same bundle with Deno itself, for machines that cannot have the compiler's base
 * binary; its entry points are scripts, so the image contains a shell.
 */
export type Runtime = "compiled" | "bundle";

/** Writes the image's root file system into an empty folder. */
export async function writeRoot(root: string, runtime: Runtime): Promise<void> {
  await layUsers(root);
  await layLibcrypto(root);
  await Deno.mkdir(`${root}${binaries}`, { recursive: true });
  if (runtime === "compiled") await layCompiled(root);
  else await layBundle(root);
}

/** Copies a program, and the libraries it is linked to, to their paths on this machine. */
export async function layProgram(root: string, from: string, to = from): Promise<void> {
  await copy(from, `${root}${to}`);
  // ldd fails for a static program, which needs no libraries.
  const { stdout } = await new Deno.Command("ldd", { args: [from], stderr: "null" }).output();
  for (const [, path = ""] of new TextDecoder().decode(stdout).matchAll(/(?:^|\s)(\/\S+) \(0x/gm)) {
    await copy(path, `${root}${path}`);
  }
}

/** The accounts of the distroless images: a service runs as 65532. */
async function layUsers(root: string): Promise<void> {
  await Deno.mkdir(`${root}/etc`, { recursive: true });
  await Deno.mkdir(`${root}/tmp`);
  await Deno.chmod(`${root}/tmp`, 0o1777);
  const accounts = [["root", 0], ["nobody", 65534], ["nonroot", 65532]] as const;
  await Deno.writeTextFile(
    `${root}/etc/passwd`,
    accounts.map(([name, id]) => `${name}:x:${id}:${id}:${name}:/:/sbin/nologin\n`).join(""),
  );
  await Deno.writeTextFile(
    `${root}/etc/group`,
    accounts.map(([name, id]) => `${name}:x:${id}:\n`).join(""),
  );
}

/** The distroless images contain it, and the service signs with it. */
async function layLibcrypto(root: string): Promise<void> {
  for (const path of libcryptoPaths) {
    if (await Deno.stat(path).then(({ isFile }) => isFile, () => false)) {
      return await layProgram(root, path);
    }
  }
}

async function layCompiled(root: string): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("../compile.ts", import.meta.url).pathname]
      .concat("--out", `${root}${binaries}`),
    stdin: "null",
  }).spawn().status;
  if (!success) throw new Error("the programs could not be compiled; see above");
  for (const name of programs) await layProgram(root, `${root}${binaries}/${name}`, binPath(name));
}

async function layBundle(root: string): Promise<void> {
  await bundleAll();
  await layProgram(root, Deno.execPath(), `${binaries}/deno`);
  await layProgram(root, "/bin/busybox");
  await Deno.mkdir(`${root}${bundles}`, { recursive: true });
  for (const name of programs) {
    await copy(entryOf(name, "bundle"), `${root}${bundles}/${name}.js`, 0o644);
    const flags = ["run", "--quiet", ...bundleFlags, ...programFlags(name)].join(" ");
    await Deno.writeTextFile(
      `${root}${binPath(name)}`,
      `#!/bin/busybox sh\nexec ${binaries}/deno ${flags} ${bundles}/${name}.js "$@"\n`,
    );
    await Deno.chmod(`${root}${binPath(name)}`, 0o755);
  }
}

function binPath(name: ProgramName): string {
  return `${binaries}/${name}`;
}

async function copy(from: string, to: string, mode = 0o755): Promise<void> {
  if (from === to) return;
  await Deno.mkdir(dirname(to), { recursive: true });
  await Deno.copyFile(from, to);
  await Deno.chmod(to, mode);
}
