/** Whether a SIGUSR1 opens V8's debugger; a hardened program ignores the signal. */
import assert from "node:assert/strict";
import { TextLineStream } from "../../../scripts/support/text_line_stream.ts";

const child = new URL("hardened_sleeper_child.ts", import.meta.url).pathname;

interface Observed {
  /** What the runtime printed about a debugger. */
  readonly said: string;
  readonly alive: boolean;
  /** From the kernel: the sockets of the child that listen. */
  readonly listening: number;
}

/** Sends a SIGUSR1 to a child that has run for longer than the runtime's grace period. */
async function observe(...args: string[]): Promise<Observed> {
  const process = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", child, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const stderr = new Response(process.stderr).text();
  const lines = process.stdout.pipeThrough(new TextLineStream()).getReader();
  assert.equal((await lines.read()).value, "ready");
  process.kill("SIGUSR1");
  // Each line is a turn of its event loop after the signal.
  let alive = true;
  for (let count = 0; count < 10; count++) alive = !(await lines.read()).done && alive;
  const listening = await listeningSockets(process.pid);
  try {
    process.kill("SIGKILL");
  } catch {
    alive = false;
  }
  await process.status;
  await lines.cancel();
  return { said: await stderr, alive, listening };
}

/** How many of the sockets that listen in this network namespace belong to the process. */
async function listeningSockets(pid: number): Promise<number> {
  const own = new Set<string>();
  for await (const { name } of Deno.readDir(`/proc/${pid}/fd`)) {
    const target = await Deno.readLink(`/proc/${pid}/fd/${name}`).catch(() => "");
    const [, inode] = /^socket:\[(\d+)\]$/.exec(target) ?? [];
    if (inode !== undefined) own.add(inode);
  }
  const tables = await Promise.all(
    ["tcp", "tcp6"].map((table) => Deno.readTextFile(`/proc/net/${table}`).catch(() => "")),
  );
  // State 0A is LISTEN; the tenth column is the inode.
  return tables.join("\n").split("\n").map((line) => line.trim().split(/\s+/))
    .filter((columns) => columns[3] === "0A" && own.has(columns[9] ?? "")).length;
}

Deno.test("a hardened program ignores SIGUSR1: it opens no debugger's port and lives on", async () => {
  const { said, alive, listening } = await observe("harden");
  assert.deepEqual({ alive, listening }, { alive: true, listening: 0 });
  assert.doesNotMatch(said, /debugger|inspector/i);
});

Deno.test("the runtime still opens the debugger at SIGUSR1, so the hardening is still needed", async () => {
  const { said, alive } = await observe();
  assert.equal(alive, true);
  // It says so also where another process has its port.
  assert.match(said, /debugger|inspector/i);
});
