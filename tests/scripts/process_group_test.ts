import assert from "node:assert/strict";

const module = new URL("../../scripts/process_group.ts", import.meta.url).href;
const root = new URL("../../", import.meta.url);

/** A program that runs a shell line by runGroup, as `deno task test` runs its tests. */
function runner(line: string): Deno.ChildProcess {
  const code = `import { runGroup } from ${JSON.stringify(module)};
    const { success } = await runGroup(["sh", "-c", ${JSON.stringify(line)}], new URL("file:///"));
    Deno.exit(success ? 0 : 1);`;
  return new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", code],
    cwd: root,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
}

async function readLine(stream: ReadableStream<string>): Promise<string> {
  let text = "";
  for await (const part of stream.values({ preventCancel: true })) {
    text += part;
    if (text.includes("\n")) break;
  }
  return text.trim();
}

async function isRunning(pid: string): Promise<boolean> {
  try {
    // A zombie has ended; only its parent has not looked yet.
    return !/^State:\tZ/m.test(await Deno.readTextFile(`/proc/${pid}/status`));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

for (const [line, code] of [["true", 0], ["exit 3", 1]] as const) {
  Deno.test(`a group that runs "${line}" ends the program with ${code}`, async () => {
    assert.equal((await runner(line).output()).code, code);
  });
}

Deno.test("processes that a command leaves running end with it", async () => {
  const child = runner("sleep 300 & echo $!");
  const pid = await readLine(child.stdout.pipeThrough(new TextDecoderStream()));
  assert.equal((await child.status).code, 0);
  assert.equal(await isRunning(pid), false);
});

for (const [signal, code] of [["SIGINT", 130], ["SIGTERM", 143]] as const) {
  Deno.test(`${signal} ends the command and what it started, with exit code ${code}`, async () => {
    const child = runner("sleep 300 & echo $!; wait");
    const output = child.stdout.pipeThrough(new TextDecoderStream());
    const pid = await readLine(output);
    child.kill(signal);
    assert.equal((await child.status).code, code);
    assert.equal(await isRunning(pid), false);
    await output.cancel();
  });
}
