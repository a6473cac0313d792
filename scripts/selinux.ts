// The driver's mounts on a kernel that enforces SELinux: Debian's kernel and policy in a virtual machine without an
// accelerator. The tests run in it, as a privileged container. Ends with "N passed, N failed, N skipped".

import { heading, note, progress } from "./demo/console.ts";
import { runGroup } from "./process_group.ts";
import { machineCommand, suite, writeInitrd } from "./selinux/machine.ts";
import { findMachineParts, type MachineParts } from "./selinux/parts.ts";
import { taskArguments } from "./support/task_options.ts";
import { readCounts } from "./test_counts.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";

const root = new URL("../", import.meta.url);

function close(passed: number, failed: number, skipped: number): never {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  Deno.exit(failed === 0 ? 0 : 1);
}

async function perform(parts: MachineParts): Promise<never> {
  const started = performance.now();
  const folder = await Deno.makeTempDir({ prefix: "csi-cert-selinux-" });
  // Also where an interruption ends this program.
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  await writeInitrd(folder, parts);
  heading(`${suite} in the virtual machine`);
  const { output } = await runGroup(machineCommand(folder, parts), root);
  const counts = readCounts(output);
  note(`${Math.round((performance.now() - started) / 1000)} s`);
  if (counts !== undefined) close(counts.passed, counts.failed, counts.ignored.length);
  const log = await Deno.readTextFile(`${folder}/kernel.log`).catch(() => "");
  console.log(`selinux: FAILED: the tests ended without counts; the kernel's last messages:`);
  console.log(log.trim().split("\n").slice(-10).join("\n"));
  close(0, 1, 0);
}

if (import.meta.main) {
  taskArguments({ name: "selinux", options: {} });
  try {
    const found = await findMachineParts((text) => progress(() => text));
    if (found.kind === "parts") await perform(found.parts);
    else console.log(`selinux: skipped: ${found.reason}`);
    close(0, 0, 1);
  } catch (error) {
    console.log(`selinux: FAILED: ${errorMessage(error)}`);
    close(0, 1, 0);
  }
}
