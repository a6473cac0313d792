import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { type Libc, mountFlags, openLibc } from "../../../src/shared/linux/libc.ts";
import { mountSource, MountTable } from "../../../src/driver/mount/mount_table.ts";
import type { PathMount } from "../../../src/shared/linux/statx.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { FaultyLibc, mountTest, pair, Workspace } from "./mount_workspace.ts";

const MS_SHARED = 1 << 20;
const ours = { fileSystem: "tmpfs", source: mountSource };

function givesMountIds(): boolean {
  using libc = openLibc();
  return libc.statx("/")?.mountId !== undefined;
}

/** The tests of older kernels are in files of their own. */
const ignore = !canMount || !givesMountIds();

mountTest(
  "fifty volumes are published, swapped, read and unpublished without the table of mounts",
  async ({ workspace, libc, mounter }) => {
    const targets = Array.from({ length: 50 }, (_, n) => join(workspace.root, "pods", `${n}`, "m"));
    libc.tableReads = 0;
    for (const [n, target] of targets.entries()) await mounter.publish(target, pair(n));
    for (const [n, target] of targets.entries()) await mounter.replace(target, pair(n + 1));
    for (const [n, target] of targets.entries()) await mounter.publish(target, pair(n + 2));
    for (const [n, target] of targets.entries()) {
      assert.equal(await mounter.read(target, "tls.key"), `pair ${n + 2}`);
    }
    assert.equal(workspace.mounts().length, 50);
    for (const target of targets) await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(libc.tableReads, 0);
  },
  { ignore },
);

Deno.test({
  name: "a driver that finds fifty volumes of its predecessor looks each up once",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const targets = Array.from({ length: 50 }, (_, n) => join(workspace.root, "pods", `${n}`, "m"));
    {
      using before = await workspace.createMounter();
      for (const target of targets) await before.publish(target, pair(1));
    }
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    libc.tableReads = 0;
    for (const target of targets) assert.equal(mounter.state(target), "ours");
    assert.equal(libc.tableReads, 50);
    for (const target of targets) await mounter.replace(target, pair(2));
    for (const target of targets) await mounter.unpublish(target);
    assert.equal(libc.tableReads, 50);
    assert.deepEqual(workspace.mounts(), []);
  },
});

mountTest(
  "a bind mount of a volume is looked up at its place, and remains when the volume is unpublished",
  async ({ workspace, libc, mounter, target }) => {
    const { root } = workspace;
    await mounter.publish(target, pair(1));
    const elsewhere = join(root, "elsewhere");
    await Deno.mkdir(elsewhere);
    workspace.libc.mount({ source: target, target: elsewhere, flags: mountFlags.bind });
    libc.tableReads = 0;
    assert.equal(mounter.state(elsewhere), "ours");
    assert.equal(libc.tableReads, 1);
    await mounter.unpublish(target);
    assert.equal(mounter.state(target), "absent");
    assert.equal(mounter.state(elsewhere), "ours");
    assert.equal(libc.tableReads, 1);
    // Moved, a mount stays what it is; only its place changes.
    await Deno.mkdir(target);
    workspace.libc.mount({ source: elsewhere, target, flags: mountFlags.move });
    assert.deepEqual([mounter.state(elsewhere), mounter.state(target)], ["absent", "ours"]);
    assert.equal(libc.tableReads, 1);
  },
  { ignore },
);

Deno.test({
  name:
    "the copies that the kernel makes of a volume are looked up at their places, and end with the volume",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const { root } = workspace;
    const [node, peer] = [join(root, "node"), join(root, "peer")];
    for (const path of [node, peer]) await Deno.mkdir(path);
    workspace.libc.mount({ source: "shared", target: node, fileSystem: "tmpfs", flags: 0 });
    workspace.libc.mount({ target: node, flags: MS_SHARED });
    workspace.libc.mount({ source: node, target: peer, flags: mountFlags.bind });
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    libc.tableReads = 0;
    const [target, copy] = [join(node, "pod", "mount"), join(peer, "pod", "mount")];
    await mounter.publish(target, pair(1));
    assert.equal(mounter.state(target), "ours");
    assert.equal(libc.tableReads, 0);
    assert.equal(mounter.state(copy), "ours");
    assert.equal(libc.tableReads, 1);
    // What comes over the copy comes over the volume too, and goes with it.
    workspace.mountForeign(copy);
    assert.deepEqual([mounter.state(target), mounter.state(copy)], ["foreign", "foreign"]);
    await assert.rejects(mounter.unpublish(target), /tmpfs from foreign/);
    workspace.libc.unmount(copy);
    libc.tableReads = 0;
    assert.deepEqual([mounter.state(target), mounter.state(copy)], ["ours", "ours"]);
    await mounter.unpublish(target);
    assert.deepEqual([mounter.state(target), mounter.state(copy)], ["absent", "absent"]);
    assert.equal(libc.tableReads, 0);
    assert.deepEqual(workspace.mounts().map(({ mountPoint }) => mountPoint), [node, peer]);
  },
});

mountTest(
  "no mount is seen where none begins, nor through a link",
  async ({ workspace, mounter, target }) => {
    const { root, libc } = workspace;
    await mounter.publish(target, pair(1));
    await Deno.symlink(target, join(root, "link"));
    const mounts = new MountTable(libc);
    assert.deepEqual(mounts.at(join(root, "link")), undefined);
    assert.deepEqual(mounts.at(join(root, "missing")), undefined);
    assert.deepEqual(mounts.at(dirname(target)), undefined);
    const { fileSystem, source } = mounts.at(target) ?? {};
    assert.deepEqual({ fileSystem, source }, ours);
  },
);

/** A kernel with one mount at each path, `/17` being the seventeenth, on a file system of its own; the table is empty. */
class CountedLibc implements Partial<Libc> {
  tableReads = 0;
  readonly places = new Map<string, Partial<PathMount>>();

  statx(path: string): PathMount {
    const number = path.slice(1);
    const usual = { isMountPoint: true, mountId: BigInt(number), device: `0:${number}` };
    return { ...usual, ...this.places.get(path) };
  }

  readText(path: string): string {
    if (path.endsWith("osrelease")) return "6.8.0";
    this.tableReads += 1;
    return "";
  }

  mount(): void {}
  unmount(): void {}
}

function countedMounts() {
  const libc = new CountedLibc();
  return { libc, mounts: new MountTable(libc as unknown as Libc) };
}

Deno.test("ours are remembered by the thousand, not without end; the oldest are looked up again", () => {
  const { libc, mounts } = countedMounts();
  const count = 5_000;
  for (let n = 1; n <= count; n += 1) mounts.mountOurs({ target: `/${n}`, flags: 0 });
  const known: number[] = [];
  for (let n = 1; n <= count; n += 1) if (mounts.at(`/${n}`)) known.push(n);
  assert.deepEqual([known.length, known[0], known.at(-1)], [4096, count - 4095, count]);
  assert.equal(libc.tableReads, count - 4096);
});

Deno.test("a mount is forgotten when it is unmounted, and remembered when that fails", () => {
  const { libc, mounts } = countedMounts();
  mounts.mountOurs({ target: "/1", flags: 0 });
  libc.unmount = () => {
    throw new Error("EIO");
  };
  assert.throws(() => mounts.unmount("/1"), /EIO/);
  assert.deepEqual(mounts.at("/1"), ours);
  libc.unmount = () => {};
  mounts.unmount("/1");
  assert.equal(mounts.at("/1"), undefined);
});

Deno.test("what ours was mounted on is not remembered in its place when it is gone at once", () => {
  const { libc, mounts } = countedMounts();
  libc.places.set("/1", { isMountPoint: false, mountId: 7n });
  mounts.mountOurs({ target: "/1", flags: 0 });
  assert.equal(mounts.at("/7"), undefined);
});

Deno.test("a copy is remembered if it shows the file system of a mount that is remembered", () => {
  const { libc, mounts } = countedMounts();
  mounts.mountOurs({ target: "/1", flags: 0 });
  libc.places.set("/3", { device: "0:1" });
  libc.places.set("/5", { device: "0:4" });
  for (const [source, target] of [["/1", "/2"], ["/1", "/3"], ["/4", "/5"]] as const) {
    mounts.bind(source, target);
  }
  assert.deepEqual(["/2", "/3", "/5"].map((path) => mounts.at(path)), [undefined, ours, undefined]);
});
