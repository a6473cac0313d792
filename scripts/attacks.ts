/**
 * Attacks on the shipped programs over real sockets of the loopback, with honest callers beside them.
 * Ends with "N passed, N failed" or "N passed, N failed, N skipped"; the exit code is 1 when one failed.
 */
import { parseArgs } from "node:util";
import { runRows } from "./attacks/harness/run.ts";
import { rows } from "./attacks/rows/all.ts";
import { bundleAll } from "./bundle.ts";
import { privateNamespace } from "./mount_namespace.ts";
import { runGroup } from "./process_group.ts";

const help = `deno task attacks [OPTION]... [WORD]...

Attacks the shipped programs over real sockets of the loopback, with honest callers beside them.

WORD      only rows whose line in --list holds the word
--quick   some seconds a row, without the rows that need minutes (the default)
--long    every row, for longer
--strict  a row that only took too long fails, too: for an idle machine
--list    print the rows and end
--help    print this text`;

const { values, positionals } = parseArgs({
  args: Deno.args,
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    strict: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
    /** Attacks the bundles that are in dist/ already. */
    "no-bundle": { type: "boolean", default: false },
    /** Set by the suite itself when it has started itself again where it may mount. */
    inside: { type: "boolean", default: false },
  },
});

if (values.help) {
  console.log(help);
  Deno.exit(0);
}
const selected = rows.filter((row) => {
  const line = `${row.name} (${row.position}, ${row.target})`;
  return (values.long || !row.isLong || positionals.length > 0) &&
    positionals.every((word) => line.includes(word));
});
if (values.list) {
  for (const { name, position, target } of selected) {
    console.log(`${name} (${position}, ${target})`);
  }
  Deno.exit(0);
}
/** The driver mounts where it may: its mounts end with a namespace of the suite's own. */
async function inNamespace(): Promise<void> {
  const namespace = await privateNamespace();
  if (namespace === undefined) return;
  const { command, args } = namespace;
  const again = [Deno.execPath(), "run", "-A", import.meta.filename ?? "", ...Deno.args];
  const root = new URL("..", import.meta.url);
  Deno.exit((await runGroup([command, ...args, ...again, "--inside"], root)).success ? 0 : 1);
}

if (!values.inside) {
  if (!values["no-bundle"]) await bundleAll();
  await inNamespace();
}
const closing = await runRows(selected, { isLong: values.long, isStrict: values.strict });
console.log(closing.line);
Deno.exit(closing.failed === 0 ? 0 : 1);
