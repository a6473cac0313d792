import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { canMount, FaultyLibc, pair, run, Workspace } from "./mount_workspace.ts";

const ignore = !canMount;

Deno.test({
  name: "a published volume is one read-only mount without devices, programs or set-uid",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const { target } = workspace;
    assert.equal(mounter.kind, "tmpfs");
    assert.equal(mounter.state(target), "absent");
    await mounter.publish(target, pair(1, { mode: 0o640, group: 1000 }));

    assert.equal(mounter.state(target), "ours");
    assert.deepEqual(workspace.mounts().map((mount) => mount.mountPoint), [target]);
    const { options, source } = workspace.mountAt(target)!;
    for (const option of ["ro", "nosuid", "nodev", "noexec"]) assert(options.includes(option));
    assert.equal(source, "csi.k8s.cert-driver");
    assert.throws(() => Deno.writeTextFileSync(join(target, "x"), ""), /Read-only/);
    assert.equal(Deno.readTextFileSync(join(target, "tls.crt")), "pair 1");
    assert.equal(await mounter.read(target, "tls.key"), "pair 1");
    assert.equal(await mounter.read(target, "none"), undefined);

    const file = Deno.statSync(join(target, "tls.key"));
    assert.deepEqual([file.mode! & 0o7777, file.uid, file.gid], [0o640, 0, 1000]);
    assert.equal(Deno.statSync(target).mode! & 0o7777, 0o755);
    assert.equal(Deno.statSync(dirname(target)).mode! & 0o7777, 0o750);
  },
});

Deno.test({
  name: "unpublishing leaves no mount and no target, again and again",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    await mounter.unpublish(workspace.target);
    await mounter.publish(workspace.target, pair(1));
    await mounter.unpublish(workspace.target);
    await mounter.unpublish(workspace.target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(mounter.state(workspace.target), "absent");
    assert.deepEqual([...Deno.readDirSync(dirname(workspace.target))], []);
  },
});

Deno.test({
  name: "publishing over a volume of ours swaps its files and stacks no second mount",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    await mounter.publish(workspace.target, pair(1));
    await mounter.publish(workspace.target, pair(2));
    assert.equal(workspace.mounts().length, 1);
    assert.equal(await mounter.read(workspace.target, "tls.crt"), "pair 2");
  },
});

Deno.test({
  name: "twenty volumes published at once are all there, and the staging area is empty",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const targets = Array.from({ length: 20 }, (_, n) => join(workspace.root, "pods", `${n}`, "m"));
    targets.forEach((target) => Deno.mkdirSync(dirname(target), { recursive: true }));
    await Promise.all(targets.map((target, n) => mounter.publish(target, pair(n))));
    for (const [n, target] of targets.entries()) {
      assert.equal(await mounter.read(target, "tls.key"), `pair ${n}`);
    }
    assert.equal(workspace.mounts().length, 20);
    await Promise.all(targets.map((target) => mounter.unpublish(target)));
    assert.deepEqual(workspace.mounts(), []);
    assert.deepEqual([...Deno.readDirSync(workspace.stagingDir)], []);
  },
});

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
    // Staging area, its privacy, the tmpfs, its seal, the bind.
    assert.equal(faults, 5);
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
    for (let fault = 1; fault <= 5; fault += 1) {
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
  name: "all of a stack of our mounts goes when the volume is unpublished",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const { target, libc } = workspace;
    await mounter.publish(target, pair(1));
    libc.mount({ source: target, target, flags: 0x1000 });
    libc.mount({ source: target, target, flags: 0x1000 });
    assert.equal(workspace.mounts().length, 3);
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
});

Deno.test({
  name: "a volume that somebody still looks at is unpublished all the same",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    await mounter.publish(workspace.target, pair(1));
    using file = await Deno.open(join(workspace.target, "tls.crt"));
    await mounter.unpublish(workspace.target);
    assert.deepEqual(workspace.mounts(), []);
    assert.equal(mounter.state(workspace.target), "absent");
    assert.equal(file.statSync().isFile, true);
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

Deno.test({
  name: "a target below a directory that is a link is recognised",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    await Deno.mkdir(join(workspace.root, "disk"));
    await Deno.symlink(join(workspace.root, "disk"), join(workspace.root, "kubelet"));
    const target = join(workspace.root, "kubelet", "pod", "mount");
    await mounter.publish(target, pair(1));
    assert.equal(mounter.state(target), "ours");
    await mounter.replace(target, pair(2));
    assert.equal(await mounter.read(target, "tls.crt"), "pair 2");
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
});

Deno.test({
  name: "a target with blanks and backslashes in its path is recognised",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    const target = join(workspace.root, "a b\\c\n#d\té");
    await mounter.publish(target, pair(1));
    assert.equal(mounter.state(target), "ours");
    await mounter.unpublish(target);
    assert.deepEqual(workspace.mounts(), []);
  },
});

Deno.test({
  name: "the tmpfs of a volume is small, of few files, and not swapped out where the kernel can",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    using mounter = await workspace.createMounter();
    await mounter.publish(workspace.target, pair(1));
    const shown = await run("findmnt", ["-n", "-o", "FS-OPTIONS", workspace.target]);
    assert.match(shown, /size=1024k,nr_inodes=64,mode=755/);
    const [major = 0, minor = 0] = Deno.osRelease().split(".").map(Number);
    assert.equal(shown.includes("noswap"), major > 6 || (major === 6 && minor >= 4));
  },
});
