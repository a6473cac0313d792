import assert from "node:assert/strict";
import { join } from "node:path";
import { mountFlags } from "../../../src/shared/linux/libc.ts";
import { mountTest, never, pair } from "./mount_workspace.ts";

mountTest(
  "another program's mount on top of one of ours is not recognised as ours",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    workspace.mountForeign(target);
    const before = await workspace.listing();
    for (let times = 0; times < 2; times += 1) {
      assert.equal(await mounter.state(target), "foreign");
      await assert.rejects(mounter.unpublish(target), /tmpfs from foreign/);
      await assert.rejects(mounter.publish(target, pair(2), never), /tmpfs from foreign/);
    }
    assert.deepEqual(await workspace.listing(), before);
    workspace.libc.unmount(target);
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 1");
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "another program's mount at a path where it unmounted one of ours is not ours",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    workspace.libc.unmount(target);
    assert.equal(await mounter.state(target), "absent");
    // Unless others mount just now, it gets the numbers that ours had in the table; its id is its own.
    workspace.mountForeign(target);
    assert.equal(await mounter.state(target), "foreign");
    await assert.rejects(mounter.unpublish(target), /tmpfs from foreign/);
    await assert.rejects(mounter.replace(target, pair(2)), /no volume of this driver/);
    assert.deepEqual([...Deno.readDirSync(target)], []);
    assert.equal(workspace.mounts().length, 1);
  },
);

mountTest(
  "a mount of ours that another process detached while its files are open is absent",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    using _file = await Deno.open(join(target, "tls.key"));
    workspace.libc.unmount(target, { detach: true });
    assert.equal(await mounter.state(target), "absent");
    assert.equal((await mounter.read(target, ["tls.key"]))[0], undefined);
    await mounter.publish(target, pair(2), never);
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 2");
    assert.equal(workspace.mounts().length, 1);
  },
);

mountTest(
  "another program's mount is not ours after one of ours was on top of it for a moment",
  async ({ workspace, libc, mounter, target }) => {
    const { root } = workspace;
    await mounter.publish(target, pair(1), never);
    const other = join(root, "other", "mount");
    workspace.mountForeign(other);
    libc.wrapTable = (read) => {
      workspace.libc.mount({ source: target, target: other, flags: mountFlags.bind });
      const text = read();
      workspace.libc.unmount(other);
      return text;
    };
    assert.equal(await mounter.state(other), "ours");
    libc.wrapTable = (read) => read();
    assert.equal(await mounter.state(other), "foreign");
    await assert.rejects(mounter.unpublish(other), /tmpfs from foreign/);
    assert.equal(workspace.mounts().length, 2);
  },
);

mountTest(
  "another program's mount that covers ours only during the bind of a swap is not written to",
  async ({ workspace, libc, mounter, target }) => {
    const { root } = workspace;
    await mounter.publish(target, pair(1), never);
    const foreign = join(root, "foreign");
    workspace.mountForeign(foreign);
    libc.beforeMount = ({ source }) => {
      if (source !== target) return;
      workspace.libc.mount({ source: foreign, target, flags: mountFlags.bind });
    };
    libc.afterMount = ({ source }) => {
      if (source === target) workspace.libc.unmount(target);
    };
    await assert.rejects(mounter.replace(target, pair(2)), /not one of this driver/);
    assert.deepEqual([...Deno.readDirSync(foreign)], []);
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 1");
    assert.equal(workspace.mounts().length, 2);
  },
);
