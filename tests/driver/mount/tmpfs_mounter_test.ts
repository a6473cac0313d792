import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { isMachineRoot, mountTest, pair, run, Workspace } from "./mount_workspace.ts";
import { mountFlags } from "../../../src/shared/linux/libc.ts";

/** A group that files can be given here. */
const group = isMachineRoot ? 1000 : 0;

mountTest(
  "a published volume is one read-only mount without devices, programs or set-uid",
  ({ workspace, mounter, target }) => {
    assert.equal(mounter.kind, "tmpfs");
    assert.equal(mounter.state(target), "absent");
    mounter.publish(target, pair(1, { mode: 0o640, group }));

    assert.equal(mounter.state(target), "ours");
    assert.deepEqual(workspace.mounts().map((mount) => mount.mountPoint), [target]);
    const { options, source } = workspace.mountAt(target)!;
    for (const option of ["ro", "nosuid", "nodev", "noexec"]) assert(options.includes(option));
    assert.equal(source, "csi.k8s.cert-driver");
    assert.throws(() => Deno.writeTextFileSync(join(target, "x"), ""), /Read-only/);
    assert.equal(Deno.readTextFileSync(join(target, "tls.crt")), "pair 1");
    assert.equal(mounter.read(target, ["tls.key"])[0], "pair 1");
    assert.equal(mounter.read(target, ["none"])[0], undefined);

    const file = Deno.statSync(join(target, "tls.key"));
    assert.deepEqual([file.mode! & 0o7777, file.uid, file.gid], [0o640, 0, group]);
    assert.equal(Deno.statSync(target).mode! & 0o7777, 0o755);
    assert.equal(Deno.statSync(dirname(target)).mode! & 0o7777, 0o750);
  },
);

mountTest(
  "unpublishing leaves no mount and no target, again and again",
  ({ workspace, mounter, target }) => {
    mounter.unpublish(target);
    mounter.publish(target, pair(1));
    mounter.unpublish(target);
    mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(mounter.state(target), "absent");
    assert.deepEqual([...Deno.readDirSync(dirname(target))], []);
  },
);

mountTest(
  "publishing over a volume of ours swaps its files and stacks no second mount",
  ({ workspace, mounter, target }) => {
    mounter.publish(target, pair(1));
    mounter.publish(target, pair(2));
    assert.equal(workspace.mounts().length, 1);
    assert.equal(mounter.read(target, ["tls.crt"])[0], "pair 2");
  },
);

mountTest(
  "twenty volumes do not affect each other, and leave the staging area empty",
  ({ workspace, mounter }) => {
    const targets = Array.from({ length: 20 }, (_, n) => join(workspace.root, "pods", `${n}`, "m"));
    for (const [n, target] of targets.entries()) mounter.publish(target, pair(n));
    for (const [n, target] of targets.entries()) {
      assert.equal(mounter.read(target, ["tls.key"])[0], `pair ${n}`);
    }
    assert.equal(workspace.mounts().length, 20);
    for (const target of targets) mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.deepEqual([...Deno.readDirSync(workspace.stagingDir)], []);
  },
);

mountTest(
  "every mount of a stack of ours is unmounted when the volume is unpublished",
  ({ workspace, mounter, target }) => {
    const { libc } = workspace;
    mounter.publish(target, pair(1));
    // Otherwise each bind mount is propagated to the others.
    libc.mount({ target, flags: mountFlags.private });
    libc.mount({ source: target, target, flags: 0x1000 });
    libc.mount({ source: target, target, flags: 0x1000 });
    assert.equal(workspace.mounts().length, 3);
    mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "a volume with a file that another process has open is unpublished",
  async ({ workspace, mounter, target }) => {
    mounter.publish(target, pair(1));
    using file = await Deno.open(join(target, "tls.crt"));
    mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(mounter.state(target), "absent");
    assert.equal(file.statSync().isFile, true);
  },
);

mountTest(
  "a target below a directory that is a link is recognised",
  async ({ workspace, mounter }) => {
    await Deno.mkdir(join(workspace.root, "disk"));
    await Deno.symlink(join(workspace.root, "disk"), join(workspace.root, "kubelet"));
    const target = workspace.makeParent(join(workspace.root, "kubelet", "pod", "mount"));
    mounter.publish(target, pair(1));
    assert.equal(mounter.state(target), "ours");
    mounter.replace(target, pair(2));
    assert.equal(mounter.read(target, ["tls.crt"])[0], "pair 2");
    mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "a target with blanks and backslashes in its path is recognised",
  ({ workspace, mounter }) => {
    const target = join(workspace.root, "a b\\c\n#d\té");
    mounter.publish(target, pair(1));
    assert.equal(mounter.state(target), "ours");
    mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "the tmpfs of a volume is small, of few files, and not swapped out where the kernel can",
  async ({ mounter, target }) => {
    mounter.publish(target, pair(1));
    const options = await run("findmnt", ["-n", "-o", "FS-OPTIONS", target]);
    assert.match(options, /size=1024k,nr_inodes=64,mode=755/);
    if (!isMachineRoot) return;
    const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
    assert.equal(options.includes("noswap"), major > 6 || (major === 6 && minor >= 4));
  },
);

mountTest(
  "swaps of a large trust bundle fit into the volume with the previous files",
  ({ mounter, target }) => {
    const files = (number: number) => {
      const { contents } = pair(number);
      return pair(number, { contents: new Map([...contents, ["ca.crt", "x".repeat(400 * 1024)]]) });
    };
    mounter.publish(target, files(0));
    for (const number of [1, 2, 3, 4]) mounter.replace(target, files(number));
    assert.equal(mounter.read(target, ["tls.key"])[0], "pair 4");
  },
);

Deno.test({
  name: "what a reader opened before a swap is whole after it, also when the driver started again",
  ignore: !canMount,
  async fn() {
    await using workspace = new Workspace();
    const { target } = workspace;
    for (let number = 0; number < 20; number += 1) {
      let directory: string | undefined;
      {
        using mounter = await workspace.createMounter();
        if (number > 0) directory = Deno.realPathSync(join(target, "..data"));
        mounter.publish(target, pair(number));
      }
      using restarted = await workspace.createMounter();
      assert.equal(restarted.state(target), "ours");
      if (directory === undefined) continue;
      assert.equal(Deno.readTextFileSync(join(directory, "tls.crt")), `pair ${number - 1}`);
      assert.equal(Deno.readTextFileSync(join(directory, "tls.key")), `pair ${number - 1}`);
    }
    using mounter = await workspace.createMounter();
    mounter.unpublish(target);
    assert.equal(mounter.state(target), "absent");
  },
});
