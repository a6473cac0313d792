import assert from "node:assert/strict";
import { join } from "node:path";
import { lockBasePath } from "../../src/linux/base_path_lock.ts";
import { run } from "./mount_workspace.ts";

Deno.test("one driver has a base path; the next gets it when the first lets go", async () => {
  const root = await Deno.makeTempDir();
  try {
    const basePath = join(root, "base");
    const lock = await lockBasePath(basePath);
    await assert.rejects(lockBasePath(basePath), /another driver uses CERT_BASE_PATH.*stop it/);
    lock[Symbol.dispose]();
    (await lockBasePath(basePath))[Symbol.dispose]();
    assert.equal((await Deno.stat(basePath)).mode! & 0o7777, 0o700);
    assert.equal((await Deno.stat(join(basePath, ".lock"))).mode! & 0o7777, 0o600);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});

Deno.test("the lock is the flock(2) that other programs see", async () => {
  const root = await Deno.makeTempDir();
  try {
    {
      using _lock = await lockBasePath(root);
      await assert.rejects(run("flock", ["-n", join(root, ".lock"), "true"]));
    }
    await run("flock", ["-n", join(root, ".lock"), "true"]);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
