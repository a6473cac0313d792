import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { libcPaths } from "../../../src/shared/linux/libc.ts";
import { run } from "../../driver/mount/mount_workspace.ts";

const child = fileURLToPath(new URL("memory_trim_child.ts", import.meta.url));

function start(...flags: string[]): Promise<string> {
  return run(Deno.execPath(), [
    "run",
    "--quiet",
    "--no-prompt",
    ...flags,
    "--v8-flags=--expose-gc",
    child,
  ]);
}

Deno.test("memory that was freed is returned to the kernel", async () => {
  const { before, after } = JSON.parse(await start(`--allow-ffi=${libcPaths.join(",")}`));
  // Of the 64 MB that were freed.
  assert.ok(before - after > 32e6, `${before} resident before, ${after} after`);
});

Deno.test("without permission to call the C library no memory is returned, and nothing fails", async () => {
  const { kept } = JSON.parse(await start());
  assert.equal(kept, 10);
});
