import assert from "node:assert/strict";
import { join } from "node:path";
import { mountFlags } from "../../../src/shared/linux/libc.ts";
import { yieldToEventLoop } from "../../../src/shared/scheduler/event_loop_yield.ts";
import { mountTest, never, pair, run } from "./mount_workspace.ts";

/** Runs a script as a container's root is: uid 0 without a capability. */
async function asContainerRoot(script: string, directory: string, ...args: string[]) {
  const drop = ["--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs"];
  return await run("setpriv", [...drop, "sh", "-c", script, "sh", ...args], directory);
}

/** Says what it managed to do; a read-only volume lets it do nothing. */
const attack = `
grep -q '^CapEff:.0000000000000000$' /proc/self/status || echo "has capabilities"
try() { name=$1; shift; if "$@" 2>/dev/null; then echo "$name"; fi; }
try write sh -c 'echo x > new'
try overwrite sh -c 'echo x > tls.key'
try append sh -c 'echo x >> ..data/tls.key'
try fill dd if=/dev/zero of=fill bs=64k count=64 status=none
try relink ln -sfn "$1" ..data
try replace ln -sf "$1/tls.key" tls.key
try remove rm -rf ..data tls.crt ..0* ..1*
try rename mv ..data elsewhere
try chmod chmod 0777 . ..data/tls.key
try chown chown 1 ..data/tls.key
try touch touch -m ..data/tls.key
try link ln ..data/tls.key "$1/stolen"
try remount mount -o remount,rw .
try unmount umount .
true
`;

mountTest(
  "a container's root without capabilities changes nothing in a volume",
  async ({ workspace, mounter, target }) => {
    const { root } = workspace;
    const host = join(root, "host");
    await Deno.mkdir(host);
    await mounter.publish(target, pair(1), never);
    const before = await workspace.listing();
    assert.equal(await asContainerRoot(attack, target, host), "");
    assert.deepEqual(await workspace.listing(), before);
    await mounter.replace(target, pair(2));
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 2");
  },
);

mountTest(
  "the volume does not become writable for a container while its files are swapped",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(0), never);
    const script = `while [ ! -e "$1" ]; do if (: > new) 2>/dev/null; then echo written; fi; done`;
    const stop = join(workspace.root, "stop");
    const attacker = asContainerRoot(script, target, stop);
    for (let n = 1; n <= 50; n += 1) await mounter.replace(target, pair(n));
    await Deno.writeTextFile(stop, "");
    assert.equal(await attacker, "");
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 50");
  },
);

mountTest(
  "what a pod that could write put into its volume misleads no swap and no removal",
  async ({ workspace, mounter, target }) => {
    const { root, libc } = workspace;
    const host = join(root, "host");
    await Deno.mkdir(host);
    await Deno.writeTextFile(join(host, "tls.key"), "precious");
    await mounter.publish(target, pair(1), never);

    // As a pod that is privileged can.
    libc.mount({ target, flags: mountFlags.remount | mountFlags.bind });
    const script = `set -e
      generation=$(readlink ..data)
      rm -rf "$generation" ..data tls.key
      ln -s "$1" "$generation"
      ln -s "$1" ..data
      ln -s "$1" ..0123456789abcdef
      ln -s "$1/tls.key" tls.key
      mkdir -p ..data_tmp/deep
      ln -s "$1" ..data_tmp/deep/link
      ls -A "$1/"`;
    assert.equal(await asContainerRoot(script, target, host), "tls.key\n");
    assert.equal((await mounter.read(target, ["tls.key"]))[0], undefined);

    await mounter.replace(target, pair(2));
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 2");
    assert.equal(await Deno.readTextFile(join(target, "tls.key")), "pair 2");
    await mounter.unpublish(target);
    assert.deepEqual([...Deno.readDirSync(host)].map((entry) => entry.name), ["tls.key"]);
    assert.equal(await Deno.readTextFile(join(host, "tls.key")), "precious");
  },
);

/** Reads both files from one generation, as a careful reader does; undefined when a swap came between. */
async function readPair(target: string): Promise<[string, string] | undefined> {
  try {
    const generation = join(target, await Deno.readLink(join(target, "..data")));
    const certificate = await Deno.readTextFile(join(generation, "tls.crt"));
    return [certificate, await Deno.readTextFile(join(generation, "tls.key"))];
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

mountTest(
  "through a thousand swaps no reader sees a mismatched pair, and one mount is left",
  async ({ workspace, mounter, target }) => {
    await mounter.publish(target, pair(0), never);
    await mounter.replace(target, pair(0));
    const before = await workspace.listing();
    let swapping = true;
    const seen = new Set<string>();
    const reader = async () => {
      while (swapping) {
        const found = await readPair(target);
        if (found === undefined) continue;
        assert.equal(found[0], found[1]);
        seen.add(found[0]);
      }
    };
    const reading = reader();
    for (let n = 1; n <= 1000; n += 1) {
      await mounter.replace(target, pair(n));
      // The reader's calls run on other threads, also in the middle of a swap; their results arrive here.
      await yieldToEventLoop();
      // A swap in each turn can keep a slow reader from ever meeting one pair whole: now and then it is waited for.
      while (n % 20 === 0 && !seen.has(`pair ${n}`)) await yieldToEventLoop();
    }
    swapping = false;
    await reading;

    assert(seen.size >= 50, `only ${seen.size} different pairs were read`);
    assert.equal((await mounter.read(target, ["tls.key"]))[0], "pair 1000");
    assert.equal(workspace.mounts().length, 1);
    assert.equal((await workspace.listing()).length, before.length);
  },
);
