// Runs csi-sanity against the bundled driver over its socket, then our own equivalents of the checks that csi-sanity
// makes only for drivers that create volumes. Ends with "N passed, N failed, N skipped".

import { bundleAll } from "./bundle.ts";
import { installCsiSanity, readReport, runCsiSanity } from "./conformance/csi_sanity.ts";
import { privateNamespace } from "./mount_namespace.ts";
import { runGroup } from "./process_group.ts";
import { taskArguments } from "./support/task_options.ts";
import { readCounts } from "./test_counts.ts";
import expected from "./conformance/skipped_specs.json" with { type: "json" };

const root = new URL("../", import.meta.url);

function log(text: string): void {
  console.log(`conformance: ${text}`);
}

/** Prints what was skipped and why; returns what is wrong with the report. */
function verify(report: ReturnType<typeof readReport>): string[] {
  const reasons = new Map(
    Object.entries(expected).flatMap(([reason, names]) =>
      names.map((name) => [name, reason] as const)
    ),
  );
  for (const [reason, names] of Object.entries(expected)) {
    log(`${names.length} specs skipped: ${reason}`);
  }
  const { passed, failed, skipped } = report;
  const skippedNow = new Set(skipped);
  return [
    ...failed.map(({ name, message }) => `${name}: ${message}`),
    ...skipped.filter((name) => !reasons.has(name)).map((name) => `skipped unexpectedly: ${name}`),
    ...[...reasons.keys()].filter((name) => !skippedNow.has(name))
      .map((name) =>
        `not skipped any more, so remove it from scripts/conformance/skipped_specs.json: ${name}`
      ),
    ...(passed.length === 0 ? ["no spec passed: csi-sanity tested nothing"] : []),
  ];
}

async function inside(): Promise<never> {
  const program = await installCsiSanity(log);
  if (program.kind === "missing") {
    log(`skipped: ${program.reason}`);
    console.log("0 passed, 0 failed, 1 skipped");
    Deno.exit(0);
  }
  await bundleAll();
  const report = readReport(await runCsiSanity(program.path));
  const problems = verify(report);
  for (const name of report.passed) log(`passed: ${name}`);
  for (const problem of problems) console.error(`conformance: FAILED: ${problem}`);
  const tests = [Deno.execPath(), "test", "--allow-all", "--no-check", "tests/conformance"];
  const counts = readCounts((await runGroup(tests, root)).output);
  const passed = report.passed.length + (counts?.passed ?? 0);
  const failed = problems.length + (counts?.failed ?? 1);
  const skipped = report.skipped.length + (counts?.ignored.length ?? 0);
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  Deno.exit(failed === 0 ? 0 : 1);
}

const { options } = taskArguments({
  name: "conformance",
  // Set by the suite itself when it has started itself again where it may mount.
  options: { inside: { type: "boolean" } },
});
const namespace = options.inside ? undefined : await privateNamespace();
if (namespace === undefined) await inside();
else {
  const { command, args } = namespace;
  const again = [Deno.execPath(), "run", "--allow-all", import.meta.filename ?? "", "--inside"];
  Deno.exit((await runGroup([command, ...args, ...again], root)).success ? 0 : 1);
}
