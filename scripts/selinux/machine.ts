import { fileURLToPath } from "node:url";
import { bundle } from "../bundle.ts";
import { layProgram } from "../image/root.ts";
import { entryOf } from "../permissions.ts";
import type { MachineParts } from "./parts.ts";

const root = new URL("../../", import.meta.url);

/** A suite that the machine runs: the path of one test file from the root of the checkout. */
export const suite = "tests/selinux/volume_test.ts";

/** Writes `initrd` into the folder: the first process, and the container's files as one archive. */
export async function writeInitrd(folder: string, parts: MachineParts): Promise<void> {
  const container = `${folder}/container`;
  await Deno.mkdir(`${container}/tmp`, { recursive: true });
  await layProgram(container, Deno.execPath(), "/usr/bin/deno");
  await layProgram(container, `${parts.folder}/relabel`, "/usr/bin/relabel");
  await layProgram(container, "/bin/busybox");
  await bundle(entryOf("csi-driver", "source"), `${container}/programs/csi-driver.js`);
  await bundle(fileURLToPath(new URL(suite, root)), `${container}/suite.js`);
  const initial = `${folder}/initial`;
  await layProgram(initial, "/bin/busybox");
  await layProgram(initial, fileURLToPath(new URL("init.sh", import.meta.url)), "/init");
  await Deno.copyFile(`${parts.folder}/policy`, `${initial}/policy`);
  await writeArchive(container, `${initial}/container.cpio`);
  await writeArchive(initial, `${folder}/initrd`);
}

async function writeArchive(folder: string, archive: string): Promise<void> {
  const { success, stderr } = await new Deno.Command("sh", {
    args: ["-c", 'find . | cpio --create --format=newc --owner=0:0 --quiet >"$1"', "sh", archive],
    cwd: folder,
    stdout: "null",
  }).output();
  if (!success) throw new Error(`cpio failed: ${new TextDecoder().decode(stderr)}`);
}

/** The command that starts the machine; it ends with the machine, and writes what the tests write. */
export function machineCommand(folder: string, parts: MachineParts): string[] {
  const kernel = "console=ttyS0 quiet security=selinux selinux=1 enforcing=1 panic=-1";
  return ["qemu-system-x86_64", "-nodefaults", "-no-reboot", "-display", "none"]
    .concat("-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "1536")
    .concat("-kernel", `${parts.folder}/vmlinuz`, "-initrd", `${folder}/initrd`, "-append", kernel)
    .concat("-serial", `file:${folder}/kernel.log`, "-serial", "stdio");
}
