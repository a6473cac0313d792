import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { type Libc, mountFlags, openLibc } from "../../../src/shared/linux/libc.ts";
import { mountinfoPath } from "../../../src/shared/linux/proc_files.ts";
import type { PathMount } from "../../../src/shared/linux/statx.ts";
import { driverName } from "../../../src/shared/text/product_names.ts";
import { isOwnMount, MountTable } from "../../../src/driver/mount/mount_table.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { type Requirement, requiringTest } from "../../support/requirement.ts";
import { FaultyLibc, mounting, mountTest, never, pair, Workspace } from "./mount_workspace.ts";

const ours = { fileSystem: "tmpfs", source: driverName };
const MS_SHARED = 1 << 20;
const ignore = !canMount;

/** Before Linux 6.8 every look-up reads the table. */
const mountIds: Requirement = {
  isMet: reportsMountIds(),
  reason: "statx(2) returns unique mount ids from Linux 6.8 on",
};

function reportsMountIds(): boolean {
  using libc = openLibc();
  return libc.statx("/")?.mountId !== undefined;
}

function fiftyTargets(workspace: Workspace): string[] {
  return Array.from(
    { length: 50 },
    (_, n) => workspace.makeParent(join(workspace.root, "pods", `${n}`, "m")),
  );
}

requiringTest(
  "a driver that finds fifty volumes of its predecessor reads the table of mounts once",
  canMount ? mountIds : mounting,
  async () => {
    await using workspace = new Workspace();
    const targets = fiftyTargets(workspace);
    {
      using before = await workspace.createMounter();
      for (const target of targets) await before.publish(target, pair(1), never);
    }
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    libc.tableReads = 0;
    for (const target of targets) assert.equal(await mounter.state(target), "ours");
    for (const target of targets) {
      assert.deepEqual(await mounter.read(target, ["tls.key"]), ["pair 1"]);
    }
    for (const target of targets) await mounter.replace(target, pair(2));
    for (const target of targets) await mounter.unpublish(target);
    assert.equal(libc.tableReads, 1);
    assert.deepEqual(workspace.mounts(), []);
  },
);

mountTest(
  "fifty volumes are published, swapped, read and unpublished with one reading of the table of mounts",
  async ({ workspace, libc, mounter }) => {
    const targets = fiftyTargets(workspace);
    libc.tableReads = 0;
    for (const [n, target] of targets.entries()) await mounter.publish(target, pair(n), never);
    for (const [n, target] of targets.entries()) await mounter.replace(target, pair(n + 1));
    for (const [n, target] of targets.entries()) await mounter.publish(target, pair(n + 2), never);
    for (const [n, target] of targets.entries()) {
      assert.equal((await mounter.read(target, ["tls.key"]))[0], `pair ${n + 2}`);
    }
    assert.equal(workspace.mounts().length, 50);
    for (const target of targets) await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
    // It shows that the mount of the targets is shared.
    assert.equal(libc.tableReads, 1);
  },
  mountIds,
);

mountTest(
  "a bind mount of a volume is ours too, and remains when the volume is unpublished",
  async ({ workspace, mounter, target }) => {
    const { root } = workspace;
    await mounter.publish(target, pair(1), never);
    const elsewhere = join(root, "elsewhere");
    await Deno.mkdir(elsewhere);
    workspace.libc.mount({ source: target, target: elsewhere, flags: mountFlags.bind });
    assert.equal(await mounter.state(elsewhere), "ours");
    await mounter.unpublish(target);
    assert.equal(await mounter.state(target), "absent");
    assert.equal(await mounter.state(elsewhere), "ours");
    // A mount that is moved remains ours; only its path changes.
    await Deno.mkdir(target);
    // The kernel moves no mount out of one that is shared.
    workspace.libc.mount({ target: root, flags: mountFlags.private });
    workspace.libc.mount({ source: elsewhere, target, flags: mountFlags.move });
    assert.deepEqual([await mounter.state(elsewhere), await mounter.state(target)], [
      "absent",
      "ours",
    ]);
  },
);

Deno.test({
  name: "the copies that the kernel makes of a volume are ours too, and end with the volume",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const { root } = workspace;
    const [node, peer] = [join(root, "node"), join(root, "peer")];
    for (const path of [node, peer]) await Deno.mkdir(path);
    workspace.libc.mount({ source: "shared", target: node, fileSystem: "tmpfs", flags: 0 });
    workspace.libc.mount({ target: node, flags: MS_SHARED });
    workspace.libc.mount({ source: node, target: peer, flags: mountFlags.bind });
    using mounter = await workspace.createMounter();
    const [target, copy] = [join(node, "pod", "mount"), join(peer, "pod", "mount")];
    workspace.makeParent(target);
    await mounter.publish(target, pair(1), never);
    assert.equal(await mounter.state(target), "ours");
    assert.equal(await mounter.state(copy), "ours");
    // What is mounted over the copy is mounted over the volume too, and is unmounted with it.
    workspace.mountForeign(copy);
    assert.deepEqual([await mounter.state(target), await mounter.state(copy)], [
      "foreign",
      "foreign",
    ]);
    await assert.rejects(mounter.unpublish(target), /tmpfs from foreign/);
    workspace.libc.unmount(copy);
    assert.deepEqual([await mounter.state(target), await mounter.state(copy)], ["ours", "ours"]);
    await mounter.unpublish(target);
    assert.deepEqual([await mounter.state(target), await mounter.state(copy)], [
      "absent",
      "absent",
    ]);
    assert.deepEqual(workspace.mounts().map(({ mountPoint }) => mountPoint), [node, peer]);
  },
});

mountTest(
  "no mount is seen where none begins, nor through a link",
  async ({ workspace, mounter, target }) => {
    const { root, libc } = workspace;
    await mounter.publish(target, pair(1), never);
    await Deno.symlink(target, join(root, "link"));
    const mounts = new MountTable(libc);
    assert.deepEqual(mounts.at(join(root, "link")), undefined);
    assert.deepEqual(mounts.at(join(root, "missing")), undefined);
    assert.deepEqual(mounts.at(dirname(target)), undefined);
    const mount = mounts.at(target);
    assert.ok(mount && isOwnMount(mount));
  },
);

/** A kernel whose table of mounts reads differently each time, from a list. */
function fakeMounts(release: string, tables: readonly string[]) {
  const left = [...tables];
  const libc: Partial<Libc> = {
    readText: (path) => path === mountinfoPath ? left.shift() ?? "" : release,
  };
  return { left, mounts: new MountTable(libc as Libc) };
}

const line = (id: number) => `${id} 0 0:${id} / /${id} rw - tmpfs csi.k8s.cert-driver rw`;

Deno.test("before Linux 5.8 the table counts when two readings agree, or at the fourth; since then at the first", () => {
  const whole = `${line(1)}\n${line(2)}`;
  const agreeing = fakeMounts("5.4.0", [line(1), whole, whole, line(1)]);
  assert.deepEqual(agreeing.mounts.all().map(({ id }) => id), [1, 2]);
  assert.equal(agreeing.left.length, 1);
  const busy = fakeMounts("4.18.0", [line(1), line(2), line(1), whole, line(1)]);
  assert.deepEqual(busy.mounts.all().map(({ id }) => id), [1, 2]);
  assert.equal(busy.left.length, 1);
  const current = fakeMounts("5.8.0", [line(1), whole]);
  assert.deepEqual(current.mounts.all().map(({ id }) => id), [1]);
});

Deno.test("a mount is ours when it is a tmpfs of the driver's name, and only then", () => {
  const source = "csi.k8s.cert-driver";
  assert.equal(isOwnMount({ fileSystem: "tmpfs", source }), true);
  for (const other of [{ fileSystem: "ext4", source }, { fileSystem: "tmpfs", source: "tmpfs" }]) {
    assert.equal(isOwnMount(other), false);
  }
});

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
