import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { canMount } from "../../../scripts/support/can_mount.ts";
import {
  isMachineRoot,
  mountTest,
  never,
  noswap,
  pair,
  run,
  Workspace,
} from "./mount_workspace.ts";
import { countTurns } from "../../support/count_turns.ts";
import { mountFlags } from "../../../src/shared/linux/libc.ts";

/** A group that files can be given here. */
const group = isMachineRoot ? 1000 : 0;

mountTest(
  "a published volume is one read-only mount without devices, programs or set-uid",
  async ({ workspace, mounter, target }) => {
    assert.equal(mounter.kind, "tmpfs");
    assert.equal(await mounter.state(target), "absent");
    await mounter.publish(target, pair(1, { mode: 0o640, group }), never);

    assert.equal(await mounter.state(target), "ours");
    assert.deepEqual(workspace.mounts().map((mount) => mount.mountPoint), [target]);
    const { options, source } = workspace.mountAt(target)!;
    for (const option of ["ro", "nosuid", "nodev", "noexec"]) assert(options.includes(option));
    assert.equal(source, "csi.k8s.cert-driver");
    assert.throws(() => Deno.writeTextFileSync(join(target, "x"), ""), /Read-only/);
    assert.equal(Deno.readTextFileSync(join(target, "tls.crt")), "pair 1");
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 1");
    assert.equal((await mounter.read(target, ["none"]))[0], undefined);

    const file = Deno.statSync(join(target, "tls.key"));
    assert.deepEqual([file.mode! & 0o7777, file.uid, file.gid], [0o640, 0, group]);
    assert.equal(Deno.statSync(target).mode! & 0o7777, 0o755);
    assert.equal(Deno.statSync(dirname(target)).mode! & 0o7777, 0o750);
  },
);

mountTest(
  "unpublishing leaves no mount and no target, again and again",
  async ({ workspace, mounter, target }) => {
    await mounter.unpublish(target);
    await mounter.publish(target, pair(1), never);
    await mounter.unpublish(target);
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(await mounter.state(target), "absent");
    assert.deepEqual([...Deno.readDirSync(dirname(target))], []);
  },
);

mountTest(
  "publishing over a volume of ours swaps its files and stacks no second mount",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    await mounter.publish(target, pair(2), never);
    assert.equal(workspace.mounts().length, 1);
    assert.equal((await mounter.read(target, ["tls.crt"]))[0], "pair 2");
  },
);

mountTest(
  "twenty volumes do not affect each other, and leave the staging area empty",
  async ({ workspace, mounter }) => {
    const targets = Array.from(
      { length: 20 },
      (_, n) => workspace.makeParent(join(workspace.root, "pods", `${n}`, "m")),
    );
    for (const [n, target] of targets.entries()) await mounter.publish(target, pair(n), never);
    for (const [n, target] of targets.entries()) {
      assert.equal((await mounter.read(target, ["tls.key"]))[0], `pair ${n}`);
    }
    assert.equal(workspace.mounts().length, 20);
    for (const target of targets) await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.deepEqual([...Deno.readDirSync(workspace.stagingDir)], []);
  },
);

mountTest(
  "of many volumes published, swapped and unpublished at once no two are worked on in one turn of the event loop",
  async ({ workspace, libc, mounter }) => {
    const targets = Array.from(
      { length: 20 },
      (_, n) => workspace.makeParent(join(workspace.root, "pods", `${n}`, "m")),
    );
    using turn = countTurns();
    const unmount = libc.unmount.bind(libc);
    const turns: Record<string, Map<string, number>> = {};
    const note = (what: string, path: string) => (turns[what] ??= new Map()).set(path, turn.now);
    libc.beforeMount = ({ source = "", target, flags }) => {
      if (flags === mountFlags.move) note("publish", target);
      if (flags === mountFlags.bind) note("replace", source);
    };
    libc.unmount = (path, options) => {
      if (targets.includes(path)) note("unpublish", path);
      unmount(path, options);
    };
    await Promise.all(targets.map((target, n) => mounter.publish(target, pair(n), never)));
    await Promise.all(targets.map((target, n) => mounter.replace(target, pair(n + 1))));
    await Promise.all(targets.map((target) => mounter.unpublish(target)));
    for (const what of ["publish", "replace", "unpublish"]) {
      assert.equal(new Set(turns[what]?.values()).size, 20, what);
    }
  },
);

mountTest(
  "every mount of a stack of ours is unmounted when the volume is unpublished",
  async ({ workspace, mounter, target }) => {
    const { libc } = workspace;
    await mounter.publish(target, pair(1), never);
    // Otherwise each bind mount is propagated to the others.
    libc.mount({ target, flags: mountFlags.private });
    libc.mount({ source: target, target, flags: 0x1000 });
    libc.mount({ source: target, target, flags: 0x1000 });
    assert.equal(workspace.mounts().length, 3);
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "a volume with a file that another process has open is unpublished",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    using file = await Deno.open(join(target, "tls.crt"));
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(await mounter.state(target), "absent");
    assert.equal(file.statSync().isFile, true);
  },
);

mountTest(
  "a target below a directory that is a link is recognised",
  async ({ workspace, mounter }) => {
    await Deno.mkdir(join(workspace.root, "disk"));
    await Deno.symlink(join(workspace.root, "disk"), join(workspace.root, "kubelet"));
    const target = workspace.makeParent(join(workspace.root, "kubelet", "pod", "mount"));
    await mounter.publish(target, pair(1), never);
    assert.equal(await mounter.state(target), "ours");
    await mounter.replace(target, pair(2));
    assert.equal((await mounter.read(target, ["tls.crt"]))[0], "pair 2");
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "a target with blanks and backslashes in its path is recognised",
  async ({ workspace, mounter }) => {
    const target = join(workspace.root, "a b\\c\n#d\té");
    await mounter.publish(target, pair(1), never);
    assert.equal(await mounter.state(target), "ours");
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "the tmpfs of a volume is small, of few files, and not swapped out where the kernel can",
  async ({ mounter, target }) => {
    await mounter.publish(target, pair(1), never);
    const options = await run("findmnt", ["-n", "-o", "FS-OPTIONS", target]);
    assert.match(options, /size=1024k,nr_inodes=64,mode=755/);
    assert.equal(options.includes("noswap"), noswap.isMet);
  },
);

mountTest(
  "swaps of a large trust bundle fit into the volume with the previous files",
  async ({ mounter, target }) => {
    const files = (number: number) => {
      const { contents } = pair(number);
      return pair(number, { contents: new Map([...contents, ["ca.crt", "x".repeat(400 * 1024)]]) });
    };
    await mounter.publish(target, files(0), never);
    for (const number of [1, 2, 3, 4]) await mounter.replace(target, files(number));
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 4");
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
        await mounter.publish(target, pair(number), never);
      }
      using restarted = await workspace.createMounter();
      assert.equal(await restarted.state(target), "ours");
      if (directory === undefined) continue;
      assert.equal(Deno.readTextFileSync(join(directory, "tls.crt")), `pair ${number - 1}`);
      assert.equal(Deno.readTextFileSync(join(directory, "tls.key")), `pair ${number - 1}`);
    }
    using mounter = await workspace.createMounter();
    await mounter.unpublish(target);
    assert.equal(await mounter.state(target), "absent");
  },
});
