// deno task test [PATH | NAME-OF-A-TEST | --flag-of-deno-test] …
// Formatting, lint, type check and tests, each told as it begins; ends non-zero if one fails.

import { privateNamespace } from "./mount_namespace.ts";
import { runGroup } from "./process_group.ts";
import { readCounts } from "./test_counts.ts";

/** They take minutes or a cluster, and have tasks of their own. */
const heavySuites = ["tests/e2e", "tests/conformance", "tests/faults"];

const deno = Deno.execPath();
const root = new URL("../", import.meta.url);

function say(text: string): void {
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

/** Tells what the machine lacks that some tests want, before they are ignored. */
async function tellWhatIsMissing(): Promise<void> {
  const wanted = {
    openssl: ["openssl", "version"],
    "GnuTLS's certtool": ["certtool", "--version"],
  };
  for (const [name, command] of Object.entries(wanted)) {
    if (!await succeeds(command)) say(`${name} is not installed: tests that ask it are ignored`);
  }
}

/** Arguments of `deno test`: what exists is a path, another word is a part of tests' names. */
async function selection(args: readonly string[]): Promise<string[]> {
  const flags: string[] = [];
  const paths: string[] = [];
  for (const arg of args) {
    if (arg.startsWith("-")) flags.push(arg);
    else if (await exists(arg)) paths.push(arg);
    else flags.push("--filter", arg);
  }
  const ignored = heavySuites.filter((suite) => !paths.some((path) => path.startsWith(suite)));
  return [...flags, `--ignore=${ignored.join(",")}`, ...(paths.length > 0 ? paths : ["tests/"])];
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(new URL(path, root));
    return true;
  } catch {
    return false;
  }
}

/** Runs the tests; returns the words for the closing line, and whether they passed. */
async function test(): Promise<{ passed: boolean; words: string }> {
  const namespace = await privateNamespace();
  say(
    namespace === undefined
      ? "mounting is not permitted here: tests that mount are ignored"
      : `tests mount in a private mount namespace (${namespace.description})`,
  );
  const prefix = namespace === undefined ? [] : [namespace.command, ...namespace.args];
  await tellWhatIsMissing();
  say("tests");
  // Without a check: it is done already.
  const args = ["test", "--allow-all", "--no-check", "--quiet", ...await selection(Deno.args)];
  const { success, output } = await runGroup([...prefix, deno, ...args], root);
  const counts = readCounts(output);
  if (counts === undefined) return { passed: false, words: "tests (they ended without counts)" };
  const { passed, failed, ignored } = counts;
  for (const name of ignored) say(`ignored: ${name}`);
  const tail = ignored.length === 0 ? "" : ` (${ignored.length} ignored, named above)`;
  return success && failed === 0
    ? { passed: true, words: `${passed} tests passed${tail}` }
    : { passed: false, words: `tests (${failed} failed, ${passed} passed)` };
}

const failed: string[] = [];
const checks = {
  formatting: ["fmt", "--check"],
  lint: ["lint", "--quiet"],
  "type check": ["check", "--quiet", "src", "scripts", "tests"],
};
for (const [name, args] of Object.entries(checks)) {
  say(name);
  if (!(await runGroup([deno, ...args], root)).success) failed.push(name);
}
const tests = await test();
if (!tests.passed) failed.push(tests.words);

if (failed.length === 0) {
  say(`${Object.keys(checks).join(", ")} and ${tests.words}`);
} else {
  say(`FAILED: ${failed.join(", ")}${tests.passed ? `; ${tests.words}` : ""}`);
  Deno.exit(1);
}
