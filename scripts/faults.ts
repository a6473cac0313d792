// Faults of a node and of a cluster, caused to the real programs, and their consequences. Mounts are made in a private
// mount namespace and end with it. Ends with "N passed, N failed" or "N passed, N failed, N skipped".

import { privateNamespace } from "./mount_namespace.ts";
import { runGroup } from "./process_group.ts";
import { readCounts } from "./test_counts.ts";
import { taskArguments } from "./support/task_options.ts";
import { missedSelection, selectionArguments, selectTests, testWords } from "./test_selection.ts";

const root = new URL("../", import.meta.url);
const { words } = taskArguments({
  name: "faults",
  words: testWords,
  options: {},
});
const selection = await selectTests("faults", words, { below: "tests/faults" });
const namespace = await privateNamespace();
console.log(
  namespace === undefined
    ? "faults: mounting is not permitted here: only what needs no mounts runs"
    : `faults: in a private mount namespace (${namespace.description})`,
);
const prefix = namespace === undefined ? [] : [namespace.command, ...namespace.args];
const command = [...prefix, Deno.execPath(), "test", "--allow-all", "--no-check"]
  .concat(selectionArguments(selection));
const { success, output } = await runGroup(command, root);
const counts = readCounts(output);
const problem = counts === undefined
  ? "the tests ended without counts"
  : missedSelection(selection, counts);
if (counts === undefined || problem !== undefined) {
  console.error(`faults: ${problem}`);
  console.log("0 passed, 1 failed");
  Deno.exit(1);
}
const { passed, failed, ignored } = counts;
const skipped = ignored.length === 0 ? "" : `, ${ignored.length} skipped`;
console.log(`${passed} passed, ${failed} failed${skipped}`);
Deno.exit(success ? 0 : 1);
