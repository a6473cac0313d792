import assert from "node:assert/strict";
import { join } from "node:path";
import { mountFlags } from "../../../src/shared/linux/libc.ts";
import {
  mountAt,
  type MountinfoEntry,
  parseMountinfo,
} from "../../../src/driver/mount/mountinfo.ts";
import { MountTable } from "../../../src/driver/mount/mount_table.ts";
import { StagingArea } from "../../../src/driver/mount/staging_area.ts";
import { canMount } from "../../../scripts/support/can_mount.ts";
import { never, pair, run, Workspace } from "./mount_workspace.ts";

const ignore = !canMount;

/** A mount namespace that is a copy of ours, as the host is to a container with Bidirectional propagation. */
class PeerNamespace implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  static async create(propagation: "unchanged" | "slave"): Promise<PeerNamespace> {
    // The line that cat gives back says that the namespace is there; cat lives until its input ends.
    const args = ["-m", "--propagation", propagation, "cat"];
    const child = new Deno.Command("unshare", { args, stdin: "piped", stdout: "piped" }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("ready\n"));
    writer.releaseLock();
    const reader = child.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    return new PeerNamespace(child);
  }

  async run(...command: string[]): Promise<string> {
    return await run("nsenter", ["-t", `${this.#child.pid}`, "-m", ...command]);
  }

  async mounts(): Promise<MountinfoEntry[]> {
    return parseMountinfo(await this.run("cat", "/proc/self/mountinfo"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#child.stdin.close();
    await this.#child.stdout.cancel();
    await this.#child.status;
  }
}

for (const propagation of ["unchanged", "slave"] as const) {
  Deno.test({
    name: `a peer namespace (${propagation}) sees the volume, read-only, its swaps, and its end`,
    ignore,
    async fn() {
      await using workspace = new Workspace();
      await using peer = await PeerNamespace.create(propagation);
      using mounter = await workspace.createMounter();
      const { target } = workspace;
      await mounter.publish(target, pair(1), never);

      const seen = mountAt(await peer.mounts(), target);
      for (const option of ["ro", "nosuid", "nodev", "noexec"]) {
        assert(seen?.options.includes(option), `${option} is missing: ${seen?.options}`);
      }
      assert.equal(await peer.run("cat", join(target, "tls.crt")), "pair 1");
      await assert.rejects(peer.run("touch", join(target, "x")), /Read-only file system/);

      await mounter.replace(target, pair(2));
      assert.equal(await peer.run("cat", join(target, "tls.key")), "pair 2");
      await assert.rejects(peer.run("touch", join(target, "x")), /Read-only file system/);

      await mounter.unpublish(target);
      const left = (await peer.mounts()).filter((m) => m.mountPoint.startsWith(workspace.root));
      assert.deepEqual(
        left.map((mount) => mount.mountPoint).sort(),
        [workspace.root, workspace.stagingDir],
      );
    },
  });
}

Deno.test({
  name: "a peer namespace sees nothing of the staging area in which volumes are written",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    await Deno.mkdir(workspace.stagingDir, { recursive: true });
    await using peer = await PeerNamespace.create("unchanged");
    const { libc, stagingDir } = workspace;
    const staging = new StagingArea(libc, new MountTable(libc), stagingDir);
    {
      using staged = staging.createDirectory();
      staged.mountTmpfs();
      await Deno.writeTextFile(join(staged.path, "tls.key"), "secret");
      const seen = (await peer.mounts()).map((mount) => mount.mountPoint);
      assert.equal(seen.includes(staged.path), false);
      assert.equal(await peer.run("find", workspace.stagingDir, "-mindepth", "2"), "");
    }
    staging[Symbol.dispose]();
    const left = (await peer.mounts()).map((mount) => mount.mountPoint);
    assert.equal(left.includes(workspace.stagingDir), false);
  },
});

Deno.test({
  name: "the kernel leaves a peer's copy writable when a mount is made read-only after the bind",
  ignore,
  async fn() {
    await using workspace = new Workspace();
    const { target, root, libc } = workspace;
    const source = join(root, "source");
    await Deno.mkdir(source);
    await Deno.mkdir(target, { recursive: true });
    await using peer = await PeerNamespace.create("unchanged");
    libc.mount({ source, target, flags: mountFlags.bind });
    libc.mount({ target, flags: mountFlags.remount | mountFlags.bind | mountFlags.readOnly });
    assert.equal(workspace.mountAt(target)?.options.includes("ro"), true);
    // The reason why a volume is made read-only before it is moved to its target.
    assert.equal(mountAt(await peer.mounts(), target)?.options.includes("ro"), false);
    await peer.run("touch", join(target, "x"));
    assert.equal(Deno.statSync(join(target, "x")).isFile, true);
  },
});
