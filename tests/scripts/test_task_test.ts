import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { TextLineStream } from "../../scripts/support/text_line_stream.ts";

const name = "a run that ended without its closing line has no counts";

function testTask(...args: string[]): Deno.Command {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "scripts/test.ts", ...args],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

Deno.test("deno task test with a name runs that test alone, and prints which checks it leaves out", async () => {
  const { code, stdout } = await testTask(name).output();
  const output = new TextDecoder().decode(stdout);
  assert.equal(code, 0, output);
  assert.match(output, /^test: 1 file; formatting, lint, type check are left to/m);
  assert.match(output, /^ok \| 1 passed \| 0 failed/m);
  assert.match(output, /^test: 1 test passed$/m);
});

Deno.test("deno task test ends with an error where a path or a name selects nothing", async () => {
  for (const word of ["tests/none_test.ts", "a job that zzz"]) {
    const { code, stderr } = await testTask(word).output();
    assert.equal(code, 2);
    assert.match(new TextDecoder().decode(stderr), new RegExp(`^test: no .*${word}`));
  }
});

Deno.test("deno task test --watch waits for a change after the selected test, until it is interrupted", async () => {
  await using task = testTask("--watch", name).spawn();
  const lines = task.stderr.pipeThrough(new TextLineStream());
  const output = new Response(task.stdout).text();
  for await (const line of lines) if (/Restarting on file change/.test(line)) break;
  task.kill("SIGINT");
  assert.equal((await task.status).code, 130);
  assert.match(await output, /^ok \| 1 passed/m);
});
