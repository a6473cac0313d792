import assert from "node:assert/strict";
import { statfsSync } from "node:fs";
import { dirname, join } from "node:path";
import { selectMounter } from "../../../src/driver/mount/mounter_selection.ts";
import { Disk } from "../../../src/shared/linux/disk.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { type Requirement, requiringTest } from "../../support/requirement.ts";
import { FaultyLibc, never, pair, Workspace } from "./mount_workspace.ts";

/** A mounter for a program that may not mount. */
async function plainMounter(workspace: Workspace, options: { allowKeysOnDisk: boolean }) {
  const libc = new FaultyLibc();
  libc.callsToFault = 0;
  libc.code = "EPERM";
  return await selectMounter({
    disk: new Disk(),
    ...options,
    stagingDir: workspace.stagingDir,
    onWarning: (message) => workspace.warnings.push(message),
    openLibc: () => libc,
  });
}

/** What statfs(2) says of a temporary directory decides which of two tests can run. */
const onDisk: Requirement = {
  isMet: statfsSync(Deno.env.get("TMPDIR") ?? "/tmp").type !== 0x01021994,
  reason: "the temporary directory is on a tmpfs",
};

Deno.test("where mounting is refused, volumes are plain directories, with one warning", async () => {
  for (const code of ["EPERM", "EACCES", "ENOSYS"]) {
    await using workspace = new Workspace();
    const libc = new FaultyLibc();
    Object.assign(libc, { callsToFault: 0, code });
    using mounter = await workspace.createMounter({ libc });
    assert.equal(mounter.kind, "plain");
    assert.equal(workspace.warnings.length, 1);
    assert.match(workspace.warnings[0]!, new RegExp(code));
  }
});

Deno.test("without a C library no mounter is opened", async () => {
  await using workspace = new Workspace();
  const opened = selectMounter({
    disk: new Disk(),
    stagingDir: workspace.stagingDir,
    allowKeysOnDisk: true,
    onWarning: (message) => workspace.warnings.push(message),
    openLibc: () => {
      throw new Error("no C library found");
    },
  });
  await assert.rejects(opened, /no C library found/);
});

requiringTest("a key is not written to disk without ALLOW_KEYS_ON_DISK", onDisk, async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: false });
  const before = await workspace.listing();
  await assert.rejects(
    mounter.publish(workspace.target, pair(1), never),
    /private key would be written to disk.*ALLOW_KEYS_ON_DISK=true/,
  );
  assert.deepEqual(await workspace.listing(), before);
});

requiringTest("each key that is written to disk causes a warning", onDisk, async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  await mounter.publish(workspace.target, pair(1), never);
  await mounter.replace(workspace.target, pair(2));
  assert.equal(workspace.warnings.length, 3);
  assert.match(workspace.warnings[1]!, new RegExp(`volume at ${workspace.target}`));
});

Deno.test({
  name: "a directory on a tmpfs does not need ALLOW_KEYS_ON_DISK",
  ignore: !canMount,
  async fn() {
    await using workspace = new Workspace();
    workspace.mountForeign(dirname(workspace.target));
    using mounter = await plainMounter(workspace, { allowKeysOnDisk: false });
    await mounter.publish(workspace.target, pair(1), never);
    assert.equal((await mounter.read(workspace.target, ["tls.key"]))[0], "pair 1");
    await mounter.unpublish(workspace.target);
  },
});

Deno.test("a plain volume is published, swapped, read and removed", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  const { target } = workspace;
  assert.equal(await mounter.state(target), "absent");
  await mounter.unpublish(target);
  await mounter.publish(target, pair(1), never);
  assert.equal(await mounter.state(target), "ours");
  assert.equal((await Deno.stat(target)).mode! & 0o7777, 0o755);
  await mounter.publish(target, pair(2), never);
  await mounter.replace(target, pair(3));
  assert.equal((await mounter.read(target, ["tls.crt"]))[0], "pair 3");
  assert.equal([...Deno.readDirSync(target)].length, 5, "with the previous files");
  await mounter.unpublish(target);
  await mounter.unpublish(target);
  assert.equal(await mounter.state(target), "absent");
  assert.deepEqual([...Deno.readDirSync(dirname(target))], []);
});

Deno.test("a plain volume is removed with what the pod wrote into it, and no link is followed", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  const { root, target } = workspace;
  const host = join(root, "host");
  await Deno.mkdir(host);
  await Deno.writeTextFile(join(host, "file"), "precious");
  await mounter.publish(target, pair(1), never);
  await Deno.mkdir(join(target, "own", "deep"), { recursive: true });
  await Deno.writeTextFile(join(target, "own", "deep", "file"), "x");
  await Deno.symlink(host, join(target, "own", "link"));
  await Deno.symlink(host, join(target, "link"));
  await Deno.remove(join(target, "..data"));
  await mounter.unpublish(target);
  assert.deepEqual([...Deno.readDirSync(dirname(target))], []);
  assert.equal(await Deno.readTextFile(join(host, "file")), "precious");
});

Deno.test("a volume that a pod filled with files of its own gets no swap, and is removed", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  const { target } = workspace;
  await mounter.publish(target, pair(1), never);
  for (let n = 0; n < 1_000; n++) await Deno.symlink("x", join(target, `own-${n}`));
  await assert.rejects(mounter.replace(target, pair(2)), /more than 1000 files .*: delete them$/);
  assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 1");
  await mounter.unpublish(target);
  assert.equal(await mounter.state(target), "absent");
});

Deno.test("a plain publish that fails leaves nothing behind", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  const before = await workspace.listing();
  const contents = new Map([["tls.crt", "x"], ["n".repeat(254) + "é", "x"]]);
  await assert.rejects(mounter.publish(workspace.target, pair(1, { contents }), never));
  assert.deepEqual(await workspace.listing(), before);
});

Deno.test("nothing is swapped where no volume of ours is", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  await assert.rejects(mounter.replace(workspace.target, pair(1)), /no volume of this driver/);
  await Deno.mkdir(workspace.target, { recursive: true });
  await Deno.symlink("/etc", join(workspace.target, "..data"));
  assert.equal(await mounter.state(workspace.target), "absent");
  await assert.rejects(mounter.replace(workspace.target, pair(1)), /no volume of this driver/);
  assert.equal((await mounter.read(workspace.target, ["passwd"]))[0], undefined);
});

Deno.test("a link at the target is refused and left alone", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  const host = join(workspace.root, "host");
  await Deno.mkdir(host);
  await Deno.mkdir(dirname(workspace.target), { recursive: true });
  await Deno.symlink(host, workspace.target);
  assert.equal(await mounter.state(workspace.target), "foreign");
  await assert.rejects(mounter.publish(workspace.target, pair(1), never), /symbolic link/);
  await assert.rejects(mounter.unpublish(workspace.target), /symbolic link/);
  assert.deepEqual([...Deno.readDirSync(host)], []);
});

Deno.test({
  name: "a mount at the target is refused and left alone",
  ignore: !canMount,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
    workspace.mountForeign(workspace.target);
    assert.equal(await mounter.state(workspace.target), "foreign");
    await assert.rejects(mounter.publish(workspace.target, pair(1), never), /tmpfs from foreign/);
    await assert.rejects(mounter.unpublish(workspace.target), /tmpfs from foreign/);
    assert.equal(workspace.mounts().length, 1);
  },
});

Deno.test("a relative target is refused", async () => {
  await using workspace = new Workspace();
  using mounter = await plainMounter(workspace, { allowKeysOnDisk: true });
  await assert.rejects(mounter.state("pods/x"), /is not absolute/);
});
