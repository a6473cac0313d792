import assert from "node:assert/strict";
import { join } from "node:path";
import { selectMounter } from "../../../src/driver/mount/mounter_selection.ts";
import { Disk } from "../../../src/shared/linux/disk.ts";
import type { Mounter } from "../../../src/driver/volume/mounter.ts";
import { FaultyLibc, isMachineRoot, never, pair, Workspace } from "./mount_workspace.ts";

/** When files were reached by their paths, every second run of 500 operations changed the host's directory. */
const operations = 1_500;

const children = new URL("./exchanging_child.ts", import.meta.url).pathname;

/** Everything that a host's directory shows of itself. */
function stateOf(directory: string) {
  return [".", ...[...Deno.readDirSync(directory)].map(({ name }) => name).sort()].map((name) => {
    const { mode, uid, gid, size } = Deno.lstatSync(join(directory, name));
    return { name, mode, uid, gid, size };
  });
}

/** Publishes, swaps, reads and unpublishes; a call that fails because of the attack is fine. */
async function operate(
  mounter: Mounter,
  target: string,
  number: number,
): Promise<(string | undefined)[]> {
  const group = isMachineRoot ? 1000 : undefined;
  const attempt = async (action: () => Promise<unknown>) => {
    try {
      await action();
    } catch (error) {
      assert(error instanceof Error);
    }
  };
  const texts: (string | undefined)[] = [];
  await attempt(() => mounter.publish(target, pair(number, { mode: 0o640, group }), never));
  await attempt(async () => texts.push(...await mounter.read(target, ["tls.crt", "tls.key"])));
  if (number % 50 === 0) await attempt(() => mounter.unpublish(target));
  return texts;
}

Deno.test("a pod's root that exchanges directories and links in a plain volume leads no call out of it", async () => {
  await using workspace = new Workspace();
  const { target, root } = workspace;
  const [host, stop] = [join(root, "host"), join(root, "stop")];
  for (const directory of [host, stop]) Deno.mkdirSync(directory);
  Deno.chmodSync(host, 0o700);
  for (const name of ["tls.crt", "tls.key", "other"]) {
    Deno.writeTextFileSync(join(host, name), "precious", { mode: 0o600 });
  }
  const before = stateOf(host);
  const libc = new FaultyLibc();
  Object.assign(libc, { callsToFault: 0, code: "EPERM" });
  using mounter = await selectMounter({
    disk: new Disk(),
    stagingDir: workspace.stagingDir,
    allowKeysOnDisk: true,
    onWarning: () => {},
    openLibc: () => libc,
  });
  assert.equal(mounter.kind, "plain");
  await mounter.publish(target, pair(0), never);

  const args = ["run", "--allow-all", "--no-check", children, target, host, stop];
  const attacker = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  const output = attacker.stdout.pipeThrough(new TextDecoderStream()).getReader();
  assert.match((await output.read()).value ?? "", /started/);
  const seen = new Set<string | undefined>();
  let successes = 0;
  for (let number = 1; number <= operations; number++) {
    const texts = await operate(mounter, target, number);
    for (const text of texts) seen.add(text);
    if (texts[0] === `pair ${number}`) successes++;
  }
  Deno.writeTextFileSync(join(stop, "now"), "");
  const exchanges = Number((await output.read()).value);
  await attacker.status;

  assert(exchanges >= 100, `the attack had ${exchanges} exchanges only`);
  assert(successes >= 10, `only ${successes} publishes succeeded`);
  assert.deepEqual(stateOf(host), before);
  assert(!seen.has("precious"), "no text of the host's was read");
  for (const name of ["tls.crt", "tls.key", "other"]) {
    assert.equal(Deno.readTextFileSync(join(host, name)), "precious");
  }
  await mounter.unpublish(target);
  assert.equal(await mounter.state(target), "absent");
});
