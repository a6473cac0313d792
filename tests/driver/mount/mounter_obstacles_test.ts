import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { mountFlags } from "../../../src/shared/linux/libc.ts";
import { mountSource } from "../../../src/driver/mount/mount_table.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { FaultyLibc, pair, Workspace } from "./mount_workspace.ts";

const ignore = !canMount;

Deno.test({
  name: "a publish that fails at any mount undoes exactly what it did",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    await Deno.mkdir(dirname(dirname(workspace.target)), { recursive: true });
    const before = await workspace.listing();
    let faults = 0;
    for (;; faults += 1) {
      libc.callsToFault = faults + 1;
      try {
        await mounter.publish(workspace.target, pair(1));
        break;
      } catch (error) {
        assert.match(String(error), /EIO/);
        assert.deepEqual(await workspace.listing(), before, `after fault ${faults + 1}`);
      }
    }
    // The tmpfs, its read-only flag, the move.
    assert.equal(faults, 3);
    libc.callsToFault = Infinity;
    assert.equal(mounter.state(workspace.target), "ours");
  },
});

Deno.test({
  name: "a swap that fails at any mount keeps the old files",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    await mounter.publish(workspace.target, pair(1));
    const before = await workspace.listing();
    // The bind, its privacy, its unsealing.
    for (let fault = 1; fault <= 3; fault += 1) {
      libc.callsToFault = fault;
      await assert.rejects(mounter.replace(workspace.target, pair(2)), /EIO/);
      assert.deepEqual(await workspace.listing(), before);
    }
    libc.callsToFault = Infinity;
    await mounter.replace(workspace.target, pair(2));
    assert.equal(await mounter.read(workspace.target, "tls.key"), "pair 2");
  },
});

Deno.test({
  name:
    "a file that somebody looks at just then keeps no volume from being sealed, unless they stay",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    libc.code = "EBUSY";
    // The tmpfs is the first call, its read-only flag the second.
    libc.callsToFault = 2;
    await mounter.publish(workspace.target, pair(1));
    assert.equal(await mounter.read(workspace.target, "tls.key"), "pair 1");
    assert.ok(workspace.mountAt(workspace.target)?.options.includes("ro"));
    await mounter.unpublish(workspace.target);

    const before = await workspace.listing();
    let seals = 0;
    libc.beforeMount = ({ flags }) => {
      if ((flags & mountFlags.remount) === 0) return;
      seals += 1;
      libc.callsToFault = 1;
    };
    await assert.rejects(mounter.publish(workspace.target, pair(2)), /EBUSY/);
    assert.equal(seals, 50);
    libc.callsToFault = Infinity;
    libc.beforeMount = () => {};
    assert.deepEqual(await workspace.listing(), before);
    assert.deepEqual(workspace.mounts(), []);
  },
});

Deno.test({
  name: "a staging area that somebody unmounted is made again, and private again",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    const { stagingDir, target } = workspace;
    await mounter.publish(target, pair(1));
    workspace.libc.unmount(stagingDir);
    const privates: string[] = [];
    libc.beforeMount = ({ target, flags }) => {
      if (flags === mountFlags.private) privates.push(target);
    };
    await mounter.unpublish(target);
    await mounter.publish(target, pair(2));
    assert.deepEqual(privates, [stagingDir]);
    assert.equal(workspace.mountAt(stagingDir)?.source, mountSource);
    // What fails while it is made leaves none of it.
    workspace.libc.unmount(stagingDir);
    for (const fault of [1, 2]) {
      libc.callsToFault = fault;
      await assert.rejects(mounter.replace(target, pair(3)), /EIO/);
      assert.equal(workspace.mountAt(stagingDir), undefined);
    }
    await mounter.replace(target, pair(3));
    assert.equal(await mounter.read(target, "tls.key"), "pair 3");
  },
});

Deno.test({
  name: "a link that takes the target's place while files are written is not mounted on",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    const { target, root } = workspace;
    await Deno.mkdir(join(root, "host"));
    libc.beforeMount = ({ flags }) => {
      if ((flags & mountFlags.readOnly) === 0) return;
      Deno.removeSync(target);
      Deno.symlinkSync(join(root, "host"), target);
    };
    await assert.rejects(mounter.publish(target, pair(1)), /symbolic link/);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(await Deno.readLink(target), join(root, "host"));
  },
});

Deno.test({
  name: "a foreign mount that covers ours just before a swap is not written to",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    const { target } = workspace;
    await mounter.publish(target, pair(1));
    libc.beforeMount = ({ source }) => {
      if (source === target) workspace.mountForeign(target);
    };
    await assert.rejects(mounter.replace(target, pair(2)), /not one of this driver/);
    assert.deepEqual([...Deno.readDirSync(target)], []);
    assert.equal(workspace.mounts().length, 2);
  },
});

Deno.test({
  name: "files that do not fit are refused: at first nothing appears, later the old ones stay",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const large = new Map([["tls.crt", "pair 2"], ["ca.crt", "x".repeat(1024 * 1024)]]);
    const before = await workspace.listing();
    await assert.rejects(mounter.publish(workspace.target, pair(2, { contents: large })), /space/);
    assert.deepEqual(await workspace.listing(), before);

    await mounter.publish(workspace.target, pair(1));
    const published = await workspace.listing();
    await assert.rejects(mounter.replace(workspace.target, pair(2, { contents: large })), /space/);
    assert.deepEqual(await workspace.listing(), published);
    assert.equal(await mounter.read(workspace.target, "tls.crt"), "pair 1");
  },
});

Deno.test({
  name: "a file or a link at the target is refused and left alone",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const { target, root } = workspace;
    await Deno.mkdir(dirname(target), { recursive: true });
    await Deno.mkdir(join(root, "host"));
    const obstacles = [
      () => Deno.writeTextFile(target, "x"),
      () => Deno.symlink(join(root, "host"), target),
      () => Deno.symlink(join(root, "nowhere"), target),
    ];
    for (const obstacle of obstacles) {
      await obstacle();
      const before = await workspace.listing();
      assert.equal(mounter.state(target), "foreign");
      await assert.rejects(mounter.publish(target, pair(1)), /a directory or nothing is accepted/);
      await assert.rejects(mounter.unpublish(target), /a directory or nothing is accepted/);
      await assert.rejects(mounter.replace(target, pair(1)), /no volume of this driver/);
      assert.deepEqual(await workspace.listing(), before);
      await Deno.remove(target);
    }
  },
});

Deno.test({
  name: "another program's mount at the target is never unmounted, also not one on top of ours",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const { target } = workspace;
    for (const beneath of ["nothing", "ours"]) {
      if (beneath === "ours") await mounter.publish(target, pair(1));
      workspace.mountForeign(target);
      const before = await workspace.listing();
      assert.equal(mounter.state(target), "foreign");
      assert.equal(await mounter.read(target, "tls.crt"), undefined);
      await assert.rejects(mounter.publish(target, pair(2)), /tmpfs from foreign/);
      await assert.rejects(mounter.unpublish(target), /tmpfs from foreign/);
      await assert.rejects(mounter.replace(target, pair(2)), /no volume of this driver/);
      assert.deepEqual(await workspace.listing(), before);
      workspace.libc.unmount(target);
    }
    assert.equal(await mounter.read(target, "tls.crt"), "pair 1");
  },
});

Deno.test({
  name: "files that a driver without mounts left in the target go; a stranger's stay and are named",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const { target } = workspace;
    await Deno.mkdir(join(target, "..0123456789abcdef"), { recursive: true });
    await Deno.symlink("..0123456789abcdef", join(target, "..data"));
    await Deno.symlink("..data/tls.key", join(target, "tls.key"));
    await mounter.unpublish(target);
    assert.equal(mounter.state(target), "absent");

    await Deno.mkdir(target);
    await Deno.writeTextFile(join(target, "notes"), "x");
    await assert.rejects(mounter.unpublish(target), /did not write \(notes\)/);
    assert.equal(await Deno.readTextFile(join(target, "notes")), "x");
  },
});
