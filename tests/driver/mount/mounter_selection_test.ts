import assert from "node:assert/strict";
import { join } from "node:path";
import { libcPaths } from "../../../src/shared/linux/libc.ts";
import { MountTable } from "../../../src/driver/mount/mount_table.ts";
import { StagingArea } from "../../../src/driver/mount/staging_area.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { FaultyLibc, never, pair, run, Workspace } from "./mount_workspace.ts";

const ignore = !canMount;
const child = new URL("mounter_child.ts", import.meta.url).pathname;

/** The driver's own permissions, as far as this folder needs them: no programs, nothing under /proc. */
const permissions = [
  "--no-prompt",
  "--allow-env",
  "--allow-net",
  "--allow-read",
  "--allow-write",
  `--allow-ffi=${libcPaths.join(",")}`,
  "--allow-sys=hostname,statfs",
];

Deno.test({
  name: "the mounter works with the permissions that the driver runs with, and no others",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const args = ["run", "--quiet", ...permissions, child, workspace.root];
    const output = await run(Deno.execPath(), args);
    assert.deepEqual(JSON.parse(output), {
      kind: "tmpfs",
      warnings: [],
      states: ["absent", "ours", "ours", "absent"],
      read: "pair 2",
      problems: [],
      loaded: 1,
    });
    assert.deepEqual(workspace.mounts(), []);
  },
});

Deno.test({
  name: "a driver without the capability to mount writes plain directories and logs a warning",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const args = ["--bounding-set=-all", "--inh-caps=-all", Deno.execPath(), "run", "--quiet"];
    const output = await run("setpriv", [...args, ...permissions, child, workspace.root]);
    const { kind, warnings, states, read } = JSON.parse(output);
    assert.equal(kind, "plain");
    assert.match(warnings[0], /mounting is not possible here.*EPERM.*run the driver privileged/);
    assert.match(warnings[1], /written to disk \(ALLOW_KEYS_ON_DISK\)/);
    assert.deepEqual(states, ["absent", "ours", "ours", "absent"]);
    assert.equal(read, "pair 2");
  },
});

Deno.test({
  name: "what a killed driver left in the staging area is cleaned at the next start",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    await Deno.mkdir(workspace.stagingDir, { recursive: true });
    const { libc, stagingDir } = workspace;
    const killed = new StagingArea(libc, new MountTable(libc), stagingDir);
    for (let n = 0; n < 2; n += 1) {
      const staged = killed.createDirectory();
      staged.mountTmpfs();
      await Deno.writeTextFile(join(staged.path, "tls.key"), "secret");
    }
    assert.equal(workspace.mounts().length, 2);
    using _mounter = await workspace.createMounter();
    assert.deepEqual(workspace.mounts(), []);
    assert.deepEqual([...Deno.readDirSync(workspace.stagingDir)], []);
  },
});

Deno.test({
  name: "a volume that a killed driver published is recognised by the next",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    {
      using killed = await workspace.createMounter();
      await killed.publish(workspace.target, pair(1), never);
    }
    using mounter = await workspace.createMounter();
    assert.equal(await mounter.state(workspace.target), "ours");
    await mounter.replace(workspace.target, pair(2));
    assert.equal((await mounter.read(workspace.target, ["tls.crt"]))[0], "pair 2");
    await mounter.unpublish(workspace.target);
  },
});

Deno.test("an error other than a refused mount is thrown", async () => {
  await using workspace = new Workspace();
  const libc = new FaultyLibc();
  libc.callsToFault = 0;
  await assert.rejects(workspace.createMounter({ libc }), /EIO/);
  assert.deepEqual(workspace.warnings, []);
});
