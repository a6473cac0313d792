import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { mountFlags } from "../../../src/shared/linux/libc.ts";
import { driverName } from "../../../src/shared/text/product_names.ts";
import { mountTest, never, pair } from "./mount_workspace.ts";

mountTest(
  "a publish that fails at any mount undoes exactly what it did",
  async ({ workspace, libc, mounter, target }) => {
    await Deno.mkdir(dirname(dirname(target)), { recursive: true });
    const before = await workspace.listing();
    let faults = 0;
    for (;; faults += 1) {
      libc.callsToFault = faults + 1;
      try {
        await mounter.publish(target, pair(1), never);
        break;
      } catch (error) {
        assert.match(String(error), /EIO/);
        assert.deepEqual(await workspace.listing(), before, `after fault ${faults + 1}`);
      }
    }
    // The tmpfs, its read-only flag, the move.
    assert.equal(faults, 3);
    libc.callsToFault = Infinity;
    assert.equal(await mounter.state(target), "ours");
  },
);

mountTest(
  "a swap that fails at any mount keeps the old files",
  async ({ workspace, libc, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    const before = await workspace.listing();
    // The bind, making it private, making it writable.
    for (let fault = 1; fault <= 3; fault += 1) {
      libc.callsToFault = fault;
      await assert.rejects(mounter.replace(target, pair(2)), /EIO/);
      assert.deepEqual(await workspace.listing(), before);
    }
    libc.callsToFault = Infinity;
    await mounter.replace(target, pair(2));
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 2");
  },
);

mountTest(
  "a volume becomes read-only after a file was busy for a moment; a file that remains busy fails the publish",
  async ({ workspace, libc, mounter, target }) => {
    libc.code = "EBUSY";
    // The tmpfs is the first call, its read-only flag the second.
    libc.callsToFault = 2;
    await mounter.publish(target, pair(1), never);
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 1");
    assert.ok(workspace.mountAt(target)?.options.includes("ro"));
    await mounter.unpublish(target);

    const before = await workspace.listing();
    let attempts = 0;
    libc.beforeMount = ({ flags }) => {
      if ((flags & mountFlags.remount) === 0) return;
      attempts += 1;
      libc.callsToFault = 1;
    };
    await assert.rejects(mounter.publish(target, pair(2), never), /EBUSY/);
    assert.equal(attempts, 50);
    libc.callsToFault = Infinity;
    libc.beforeMount = () => {};
    assert.deepEqual(await workspace.listing(), before);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "a staging area that another process unmounted is mounted again, and private again",
  async ({ workspace, libc, mounter, target }) => {
    const { stagingDir } = workspace;
    await mounter.publish(target, pair(1), never);
    workspace.libc.unmount(stagingDir);
    const privates: string[] = [];
    libc.beforeMount = ({ target, flags }) => {
      if (flags === mountFlags.private) privates.push(target);
    };
    await mounter.unpublish(target);
    await mounter.publish(target, pair(2), never);
    assert.deepEqual(privates, [stagingDir]);
    assert.equal(workspace.mountAt(stagingDir)?.source, driverName);
    // What fails while it is made leaves none of it.
    workspace.libc.unmount(stagingDir);
    for (const fault of [1, 2]) {
      libc.callsToFault = fault;
      await assert.rejects(mounter.replace(target, pair(3)), /EIO/);
      assert.equal(workspace.mountAt(stagingDir), undefined);
    }
    await mounter.replace(target, pair(3));
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 3");
  },
);

mountTest(
  "a link that takes the target's place while files are written is not mounted on",
  async ({ workspace, libc, mounter, target }) => {
    const { root } = workspace;
    await Deno.mkdir(join(root, "host"));
    libc.beforeMount = ({ flags }) => {
      if ((flags & mountFlags.readOnly) === 0) return;
      Deno.removeSync(target);
      Deno.symlinkSync(join(root, "host"), target);
    };
    await assert.rejects(mounter.publish(target, pair(1), never), /symbolic link/);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(await Deno.readLink(target), join(root, "host"));
  },
);

mountTest(
  "a foreign mount that covers ours just before a swap is not written to",
  async ({ workspace, libc, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    libc.beforeMount = ({ source }) => {
      if (source === target) workspace.mountForeign(target);
    };
    await assert.rejects(mounter.replace(target, pair(2)), /not one of this driver/);
    assert.deepEqual([...Deno.readDirSync(target)], []);
    assert.equal(workspace.mounts().length, 2);
  },
);

mountTest(
  "files that do not fit are rejected: a first publish leaves nothing, a later one the old files, and the next that fit are written",
  async ({ workspace, mounter, target }) => {
    const large = new Map([["tls.crt", "pair 2"], ["ca.crt", "x".repeat(1024 * 1024)]]);
    const before = await workspace.listing();
    await assert.rejects(mounter.publish(target, pair(2, { contents: large }), never), /space/);
    assert.deepEqual(await workspace.listing(), before);

    await mounter.publish(target, pair(1), never);
    const published = await workspace.listing();
    await assert.rejects(mounter.replace(target, pair(2, { contents: large })), /space/);
    assert.deepEqual(await workspace.listing(), published);
    assert.equal((await mounter.read(target, ["tls.crt"]))[0], "pair 1");
    await mounter.replace(target, pair(3));
    assert.equal((await mounter.read(target, ["tls.crt"]))[0], "pair 3");
  },
);

mountTest(
  "a file or a link at the target is rejected and not changed",
  async ({ workspace, mounter, target }) => {
    const { root } = workspace;
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
      assert.equal(await mounter.state(target), "foreign");
      await assert.rejects(
        mounter.publish(target, pair(1), never),
        /a directory or nothing is accepted/,
      );
      await assert.rejects(mounter.unpublish(target), /a directory or nothing is accepted/);
      await assert.rejects(mounter.replace(target, pair(1)), /no volume of this driver/);
      assert.deepEqual(await workspace.listing(), before);
      await Deno.remove(target);
    }
  },
);

mountTest(
  "another program's mount at the target is never unmounted, also not one on top of ours",
  async ({ workspace, mounter, target }) => {
    for (const beneath of ["nothing", "ours"]) {
      if (beneath === "ours") await mounter.publish(target, pair(1), never);
      workspace.mountForeign(target);
      const before = await workspace.listing();
      assert.equal(await mounter.state(target), "foreign");
      assert.equal((await mounter.read(target, ["tls.crt"]))[0], undefined);
      await assert.rejects(mounter.publish(target, pair(2), never), /tmpfs from foreign/);
      await assert.rejects(mounter.unpublish(target), /tmpfs from foreign/);
      await assert.rejects(mounter.replace(target, pair(2)), /no volume of this driver/);
      assert.deepEqual(await workspace.listing(), before);
      workspace.libc.unmount(target);
    }
    assert.equal((await mounter.read(target, ["tls.crt"]))[0], "pair 1");
  },
);

mountTest(
  "files of a driver that could not mount are removed from the target; others remain and are named",
  async ({ mounter, target }) => {
    await Deno.mkdir(join(target, "..0123456789abcdef"), { recursive: true });
    await Deno.symlink("..0123456789abcdef", join(target, "..data"));
    await Deno.symlink("..data/tls.key", join(target, "tls.key"));
    await mounter.unpublish(target);
    assert.equal(await mounter.state(target), "absent");

    await Deno.mkdir(target);
    await Deno.writeTextFile(join(target, "notes"), "x");
    await assert.rejects(mounter.unpublish(target), /did not write \(notes\)/);
    assert.equal(await Deno.readTextFile(join(target, "notes")), "x");
  },
);
