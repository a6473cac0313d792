// Formatting, lint, type check and tests, each announced as it begins; ends non-zero if one fails.
// With a selection it runs the selected tests alone.

import { privateNamespace } from "./mount_namespace.ts";
import { runGroup } from "./process_group.ts";
import { type Task, taskArguments } from "./support/task_options.ts";
import { readCounts } from "./test_counts.ts";
import {
  missedSelection,
  selectionArguments,
  selectTests,
  type TestSelection,
  testWords,
} from "./test_selection.ts";

/** They take minutes or a cluster, and have tasks of their own. */
const heavySuites = ["tests/e2e", "tests/conformance", "tests/faults", "tests/selinux"];

const task = {
  name: "test",
  words: testWords,
  options: {
    watch: { type: "boolean", help: "run the tests again when a file changes" },
    "fail-fast": { type: "boolean", help: "end at the first test that fails" },
  },
} as const satisfies Task;

const deno = Deno.execPath();
const root = new URL("../", import.meta.url);

function log(text: string): void {
  console.log(`test: ${text}`);
}

async function succeeds([program = "", ...args]: string[]): Promise<boolean> {
  try {
    const command = new Deno.Command(program, { args, stdin: "null", stdout: "null" });
    return (await command.spawn().status).success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Reports the programs that some tests need and that the machine lacks, before they are ignored. */
async function reportMissingPrograms(): Promise<void> {
  const needed = {
    openssl: ["openssl", "version"],
    "GnuTLS's certtool": ["certtool", "--version"],
  };
  for (const [name, command] of Object.entries(needed)) {
    if (!await succeeds(command)) log(`${name} is not installed: tests that run it are ignored`);
  }
}

/** Runs the tests; returns the words for the closing line, and whether they passed. */
async function test(
  selection: TestSelection,
  flags: readonly string[],
): Promise<{ passed: boolean; words: string }> {
  const namespace = await privateNamespace();
  log(
    namespace === undefined
      ? "mounting is not permitted here: tests that mount are ignored"
      : `tests mount in a private mount namespace (${namespace.description})`,
  );
  const prefix = namespace === undefined ? [] : [namespace.command, ...namespace.args];
  await reportMissingPrograms();
  log("tests");
  // Not checked here: the type check comes before, or was left out.
  const args = ["test", "--allow-all", "--no-check", ...flags, ...selectionArguments(selection)];
  const { success, output } = await runGroup([...prefix, deno, ...args], root);
  const counts = readCounts(output);
  if (counts === undefined) return { passed: false, words: "tests (they ended without counts)" };
  const { passed, failed, ignored } = counts;
  for (const name of ignored) log(`ignored: ${name}`);
  const missed = missedSelection(selection, counts);
  if (missed !== undefined) return { passed: false, words: missed };
  const tail = ignored.length === 0 ? "" : ` (${ignored.length} ignored, named above)`;
  return success && failed === 0
    ? { passed: true, words: `${passed} ${passed === 1 ? "test" : "tests"} passed${tail}` }
    : { passed: false, words: `tests (${failed} failed, ${passed} passed)` };
}

const { words, options } = taskArguments(task);
const selection = await selectTests("test", words, { below: "tests", except: heavySuites });
const isWhole = words.length === 0 && !options.watch;
const checks = {
  formatting: ["fmt", "--check"],
  lint: ["lint", "--quiet"],
  "type check": ["check", "--quiet", "src", "scripts", "tests"],
};
const failed: string[] = [];
if (isWhole) {
  for (const [name, args] of Object.entries(checks)) {
    log(name);
    if (!(await runGroup([deno, ...args], root)).success) failed.push(name);
  }
} else {
  const files = `${selection.files.length} ${selection.files.length === 1 ? "file" : "files"}`;
  log(`${files}; ${Object.keys(checks).join(", ")} are left to "deno task test" alone`);
}
const flags = [
  ...isWhole ? ["--quiet"] : [],
  ...options.watch ? ["--watch"] : [],
  ...options["fail-fast"] ? ["--fail-fast"] : [],
];
const tests = await test(selection, flags);
if (!tests.passed) failed.push(tests.words);

if (failed.length === 0) {
  log(isWhole ? `${Object.keys(checks).join(", ")} and ${tests.words}` : tests.words);
} else {
  log(`FAILED: ${failed.join(", ")}${tests.passed ? `; ${tests.words}` : ""}`);
  Deno.exit(1);
}
