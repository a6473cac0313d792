// Attacks on the shipped programs over real sockets of the loopback, with honest callers beside them.
// Ends with "N passed, N failed" or "N passed, N failed, N skipped"; the exit code is 1 when one failed.

import { runRows } from "./attacks/harness/run.ts";
import { rows } from "./attacks/rows/all.ts";
import { bundleAll } from "./bundle.ts";
import { privateNamespace } from "./mount_namespace.ts";
import { runGroup } from "./process_group.ts";
import { taskArguments } from "./support/task_options.ts";

const { options, words } = taskArguments({
  name: "attacks",
  words: { WORD: "only rows whose line in --list contains the word" },
  options: {
    quick: {
      type: "boolean",
      help: "some seconds a row, without the rows that need minutes (the default)",
    },
    long: { type: "boolean", help: "every row, for longer" },
    strict: {
      type: "boolean",
      help: "fail a row that took too long, for a machine with spare time",
    },
    list: { type: "boolean", help: "print the rows and end" },
    "no-bundle": { type: "boolean", help: "attack the bundles that are in dist/ already" },
    // Set by the suite itself when it has started itself again where it may mount.
    inside: { type: "boolean" },
  },
});

const selected = rows.filter((row) => {
  const line = `${row.name} (${row.position}, ${row.target})`;
  return (options.long || !row.isLong || words.length > 0) &&
    words.every((word) => line.includes(word));
});
if (selected.length === 0) {
  console.error(`attacks: no row contains ${words.join(" and ")}; --list prints the rows`);
  Deno.exit(2);
}
if (options.list) {
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

if (!options.inside) {
  if (!options["no-bundle"]) await bundleAll();
  await inNamespace();
}
const closing = await runRows(selected, { isLong: options.long, isStrict: options.strict });
console.log(closing.line);
Deno.exit(closing.failed === 0 ? 0 : 1);
