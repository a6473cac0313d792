import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import configuration from "../../deno.json" with { type: "json" };
import {
  parseTaskArguments,
  type Task,
  taskHelp,
  TaskUsageError,
} from "../../scripts/support/task_options.ts";

const task = {
  name: "bench",
  words: { WORD: "a word" },
  options: {
    quick: { type: "boolean", help: "fewer rounds" },
    out: { type: "string", value: "FILE", default: "a.json", help: "the results" },
    inside: { type: "boolean" },
  },
} as const satisfies Task;

Deno.test("options have their values or defaults, and what is no option is a word", () => {
  assert.deepEqual(parseTaskArguments(task, ["one", "--quick", "--out", "b.json", "two"]), {
    options: { quick: true, out: "b.json", inside: false },
    words: ["one", "two"],
  });
  assert.deepEqual(parseTaskArguments(task, []), {
    options: { quick: false, out: "a.json", inside: false },
    words: [],
  });
});

Deno.test("--help wins over every other argument", () => {
  for (const args of [["one", "--help", "--quick"], ["--quik", "--help"], ["--out", "--help"]]) {
    assert.equal(parseTaskArguments(task, args), "help");
  }
});

Deno.test("what a task does not accept is rejected with what it accepts", () => {
  const { words: _, ...wordless } = task;
  for (
    const [{ words, options }, args, reason] of [
      [task, ["--quik"], "unknown option '--quik'"],
      [task, ["-q"], "unknown option '-q'"],
      [task, ["--out"], "option '--out <value>' argument missing"],
      [task, ["--quick=no"], "option '--quick' does not take an argument"],
      [{ ...wordless, words: undefined }, ["one"], "unexpected argument 'one'"],
    ] as const
  ) {
    const message = `${reason}; accepted: --quick, --out, --help`;
    const given: Task = { name: "bench", options, ...words && { words } };
    assert.throws(() => parseTaskArguments(given, args), new TaskUsageError(message));
  }
});

Deno.test("the help text lists words and options, but not an option of the task's own", () => {
  assert.equal(
    taskHelp(task),
    [
      "deno task bench [--quick] [--out FILE] [WORD]...",
      "",
      configuration.tasks.bench.description,
      "",
      "  WORD        a word",
      "  --quick     fewer rounds",
      "  --out FILE  the results (default: a.json)",
      "  --help      print this text",
    ].join("\n"),
  );
});

async function run(command: string, option: string) {
  const [program, ...args] = command.split(" ");
  assert.equal(program, "deno");
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args, option],
    cwd: fileURLToPath(new URL("../../", import.meta.url)),
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

for (const [name, { command, description }] of Object.entries(configuration.tasks)) {
  Deno.test(`deno task ${name} prints its help, and rejects an unknown option`, async () => {
    const [help, rejection] = await Promise.all([
      run(command, "--help"),
      run(command, "--unknown"),
    ]);
    assert.equal(help.code, 0);
    assert.ok(help.stdout.startsWith(`deno task ${name}`), help.stdout);
    assert.ok(help.stdout.includes(description), help.stdout);
    assert.equal(rejection.code, 2);
    assert.match(rejection.stderr, new RegExp(`^${name}: unknown option '--unknown'; accepted: `));
  });
}
