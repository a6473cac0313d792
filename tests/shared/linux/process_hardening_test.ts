import assert from "node:assert/strict";
import { join } from "node:path";
import { isMachineRoot, run } from "../../driver/mount/mount_workspace.ts";
import { requiringTest } from "../../support/requirement.ts";

const child = new URL("process_hardening_child.ts", import.meta.url).pathname;

Deno.test("after hardening no core is dumped, and what the program reads under /proc is readable", async () => {
  const said = JSON.parse(await run(Deno.execPath(), ["run", "-A", "--quiet", child]));
  assert.deepEqual(said.problems, []);
  assert.match(said.coreLimit, /Max core file size +0 +0 /);
  assert.equal(said.ownMounts, true);
  assert.equal(said.memory, true);
});

requiringTest(
  "the same holds for a program that is not root",
  { isMet: isMachineRoot, reason: "needs the machine's root" },
  async () => {
    const root = await Deno.makeTempDir();
    try {
      // A link of its own, since another user may not be let into the directory of the executable.
      const deno = join(root, "deno");
      await Deno.link(Deno.execPath(), deno).catch(() => Deno.copyFile(Deno.execPath(), deno));
      await Deno.mkdir(join(root, "cache"));
      await Deno.chmod(root, 0o755);
      await Deno.chmod(join(root, "cache"), 0o777);
      const user = ["--reuid=65534", "--regid=65534", "--clear-groups"];
      const environment = ["env", `DENO_DIR=${join(root, "cache")}`];
      const args = [...user, ...environment, deno, "run", "-A", "--quiet", child];
      const said = JSON.parse(await run("setpriv", args));
      assert.deepEqual(said.problems, []);
      assert.equal(said.ownMounts, true);
      assert.equal(said.memory, true);
      // The kernel gives the files of a process that is not dumpable to root.
      assert.equal(said.ownerInProc, 0);
    } finally {
      await Deno.remove(root, { recursive: true });
    }
  },
);
