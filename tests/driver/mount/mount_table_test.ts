import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { type Libc, mountFlags, openLibc } from "../../../src/shared/linux/libc.ts";
import { mountinfoPath } from "../../../src/shared/linux/proc_files.ts";
import { isOwnMount, MountTable } from "../../../src/driver/mount/mount_table.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { FaultyLibc, mountTest, pair, Workspace } from "./mount_workspace.ts";

const MS_SHARED = 1 << 20;
const ignore = !canMount;

/** Undefined before Linux 5.8. */
function reportsMountPoints(): boolean | undefined {
  using libc = openLibc();
  return libc.isMountPoint("/");
}

Deno.test({
  name: "a driver that finds fifty volumes of its predecessor reads the table of mounts once",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const targets = Array.from({ length: 50 }, (_, n) => join(workspace.root, "pods", `${n}`, "m"));
    {
      using before = await workspace.createMounter();
      for (const target of targets) before.publish(target, pair(1));
    }
    using libc = new FaultyLibc();
    const mounter = await workspace.createMounter({ libc });
    libc.tableReads = 0;
    for (const target of targets) assert.equal(mounter.state(target), "ours");
    assert.deepEqual(mounter.mounted().filter((path) => targets.includes(path)), targets);
    for (const target of targets) assert.deepEqual(mounter.read(target, ["tls.key"]), ["pair 1"]);
    assert.equal(libc.tableReads, 1);
  },
});

mountTest(
  "fifty volumes are published without reading the table of mounts, which is long on a full node",
  ({ workspace, libc, mounter }) => {
    libc.tableReads = 0;
    for (let n = 0; n < 50; n++) {
      mounter.publish(join(workspace.root, "pods", `${n}`, "m"), pair(n));
    }
    assert.equal(libc.tableReads, 0);
    assert.equal(workspace.mounts().length, 50);
  },
  { ignore: reportsMountPoints() === undefined },
);

mountTest(
  "a bind mount of a volume is ours too, and remains when the volume is unpublished",
  async ({ workspace, mounter, target }) => {
    const { root } = workspace;
    mounter.publish(target, pair(1));
    const elsewhere = join(root, "elsewhere");
    await Deno.mkdir(elsewhere);
    workspace.libc.mount({ source: target, target: elsewhere, flags: mountFlags.bind });
    assert.equal(mounter.state(elsewhere), "ours");
    mounter.unpublish(target);
    assert.equal(mounter.state(target), "absent");
    assert.equal(mounter.state(elsewhere), "ours");
    // A mount that is moved remains ours; only its path changes.
    await Deno.mkdir(target);
    workspace.libc.mount({ source: elsewhere, target, flags: mountFlags.move });
    assert.deepEqual([mounter.state(elsewhere), mounter.state(target)], ["absent", "ours"]);
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
    mounter.publish(target, pair(1));
    assert.equal(mounter.state(target), "ours");
    assert.equal(mounter.state(copy), "ours");
    // What is mounted over the copy is mounted over the volume too, and is unmounted with it.
    workspace.mountForeign(copy);
    assert.deepEqual([mounter.state(target), mounter.state(copy)], ["foreign", "foreign"]);
    assert.throws(() => mounter.unpublish(target), /tmpfs from foreign/);
    workspace.libc.unmount(copy);
    assert.deepEqual([mounter.state(target), mounter.state(copy)], ["ours", "ours"]);
    mounter.unpublish(target);
    assert.deepEqual([mounter.state(target), mounter.state(copy)], ["absent", "absent"]);
    assert.deepEqual(workspace.mounts().map(({ mountPoint }) => mountPoint), [node, peer]);
  },
});

mountTest(
  "no mount is seen where none begins, nor through a link",
  async ({ workspace, mounter, target }) => {
    const { root, libc } = workspace;
    mounter.publish(target, pair(1));
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
    isMountPoint: () => true,
    mountsChanged: () => true,
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

Deno.test("a reading of the table that fails is repeated, also when no mount was added since", () => {
  let fails = true;
  let isFirst = true;
  const libc: Partial<Libc> = {
    isMountPoint: () => true,
    mountsChanged: () => [isFirst, isFirst = false][0]!,
    readText: (path) => {
      if (path === mountinfoPath && fails) throw new Error("EIO");
      return path === mountinfoPath ? line(1) : "6.1.0";
    },
  };
  const mounts = new MountTable(libc as Libc);
  assert.throws(() => mounts.at("/1"), /EIO/);
  fails = false;
  assert.equal(mounts.at("/1")?.id, 1);
});

Deno.test("a mount is ours when it is a tmpfs of the driver's name, and only then", () => {
  const source = "csi.k8s.cert-driver";
  assert.equal(isOwnMount({ fileSystem: "tmpfs", source }), true);
  for (const other of [{ fileSystem: "ext4", source }, { fileSystem: "tmpfs", source: "tmpfs" }]) {
    assert.equal(isOwnMount(other), false);
  }
});
