import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { mountFlags } from "../../../src/shared/linux/libc.ts";
import { mountTest, never, pair } from "./mount_workspace.ts";

const MS_SHARED = 1 << 20;
const MS_SLAVE = 1 << 19;

mountTest(
  "a volume is not published where the directory above its target is missing, and none is made",
  async ({ workspace, mounter, target }) => {
    await Deno.remove(dirname(target));
    const before = await workspace.listing();
    const expected = /^the directory above target path .* does not exist .*volumeMount.*same path/;
    assert.match((await mounter.rejectionReason(target)) ?? "", expected);
    await assert.rejects(mounter.publish(target, pair(1), never), { message: expected });
    assert.deepEqual(await workspace.listing(), before);
    workspace.makeParent(target);
    assert.equal(await mounter.rejectionReason(target), undefined);
    await mounter.publish(target, pair(1), never);
  },
);

mountTest(
  "a volume is not published on a mount whose mounts no other namespace sees, until it is shared",
  async ({ workspace, mounter, target }) => {
    const { root } = workspace;
    const before = await workspace.listing();
    for (const propagation of [mountFlags.private, MS_SLAVE]) {
      workspace.libc.mount({ target: root, flags: propagation });
      const expected =
        `the mount ${root} of target path ${target} is not shared, so the pod would see an empty ` +
        `directory: set mountPropagation: Bidirectional in the driver's volumeMount with mountPath ${root}`;
      assert.equal(await mounter.rejectionReason(target), expected);
      await assert.rejects(mounter.publish(target, pair(1), never), { message: expected });
      assert.deepEqual(await workspace.listing(), before);
    }
    workspace.libc.mount({ target: root, flags: MS_SHARED });
    assert.equal(await mounter.rejectionReason(target), undefined);
    await mounter.publish(target, pair(1), never);
  },
);

mountTest(
  "a volume that is published already is written again also where its mount is no longer shared",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    workspace.libc.mount({ target: workspace.root, flags: mountFlags.private });
    await mounter.publish(target, pair(2), never);
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 2");
  },
);

mountTest(
  "the mount that decides is the one that holds the target, not one above it",
  async ({ workspace, mounter }) => {
    const pods = join(workspace.root, "other");
    workspace.mountForeign(pods);
    workspace.libc.mount({ target: pods, flags: mountFlags.private });
    const target = workspace.makeParent(join(pods, "uid", "mount"));
    assert.match((await mounter.rejectionReason(target)) ?? "", new RegExp(`mountPath ${pods}$`));
    workspace.libc.mount({ target: workspace.root, flags: mountFlags.private });
    workspace.libc.mount({ target: pods, flags: MS_SHARED });
    assert.equal(await mounter.rejectionReason(target), undefined);
  },
);
