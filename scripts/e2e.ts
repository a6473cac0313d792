// The whole product on a real Kubernetes of one node, which lives and ends with this program: first
// with IPv4 addresses alone, then with IPv6 addresses alone.
// Ends with the line "N passed, N failed, N skipped".

import { fileURLToPath } from "node:url";
import { makeCgroups, removeCgroups } from "./cluster/cgroup.ts";
import { findParts, type Parts } from "./cluster/parts.ts";
import type { AddressFamily, Place } from "./cluster/settings.ts";
import { toolImages } from "./cluster/tool_images.ts";
import { heading, note, progress } from "./demo/console.ts";
import { buildImage } from "./image.ts";
import { clusterPrefix, machineState } from "./cluster/machine_state.ts";
import { removeLeftovers } from "./cluster/leftovers.ts";
import { bundleFolderVariable } from "./permissions.ts";
import { readCounts, type TestCounts } from "./test_counts.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";
import { taskArguments } from "./support/task_options.ts";
import {
  missedSelection,
  selectionArguments,
  selectTests,
  type TestSelection,
  testWords,
} from "./test_selection.ts";

const root = new URL("../", import.meta.url);
const { words, options: { shell } } = taskArguments({
  name: "e2e",
  words: testWords,
  options: {
    shell: { type: "boolean", help: "leave out the tests and open a shell with the node up" },
  },
});

/** Aborted by Ctrl-C and similar signals: what was started is removed then, as at any other end. */
const interruption = new AbortController();

/** The order of the tests: those before "uninstall" need the product installed. */
const suites = [
  "pods",
  "attestation",
  "attributes",
  "crowds",
  "renewal",
  "restarts",
  "hostility",
  "rotation",
  "policy",
  "rights",
  "platforms",
  "operator_commands",
  "operators",
  "uninstall",
  "standalone",
  "ipv6",
]
  .map((name) => `tests/e2e/${name}_test.ts`);

/** The nodes that the tests run on, one after the other. */
const families: Readonly<Record<AddressFamily, string>> = { ipv4: "IPv4", ipv6: "IPv6" };

function familyOf(file: string): AddressFamily {
  return file === "tests/e2e/ipv6_test.ts" ? "ipv6" : "ipv4";
}

async function hasIpv6(): Promise<boolean> {
  return await Deno.readTextFile("/proc/net/if_inet6").then(() => true, () => false);
}

function close(passed: number, failed: number, skipped: number): never {
  console.log(`${passed} passed, ${failed} failed, ${skipped} skipped`);
  Deno.exit(failed === 0 ? 0 : 1);
}

/** The selected tests, in the order of their suites; a file that has no place in it runs first. */
async function selection(): Promise<TestSelection> {
  const { files, names } = await selectTests("e2e", words, { below: "tests/e2e" });
  return { names, files: files.toSorted((a, b) => suites.indexOf(a) - suites.indexOf(b)) };
}

/** Runs the node with a command in it; returns the command's output once all of it has ended. */
async function runNode(place: Place, parts: Parts, command: string[]): Promise<string> {
  const child = new Deno.Command("unshare", {
    args: ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--mount-proc"]
      .concat("--kill-child=SIGKILL", "--propagation=private", Deno.execPath(), "run", "-A")
      .concat("--no-check", fileURLToPath(new URL("cluster/inside.ts", import.meta.url)))
      .concat(JSON.stringify(place), JSON.stringify(parts), ...command),
    cwd: root,
    env: { E2E_SHELL: String(shell) },
    // Its standard input ends with this program, for whatever reason, and then the child ends.
    stdin: shell ? "inherit" : "piped",
    stdout: shell ? "inherit" : "piped",
  }).spawn();
  // Its only child ends with it. That is the first process of the namespaces, so all others end too.
  const end = () => child.kill("SIGKILL");
  interruption.signal.addEventListener("abort", end);
  if (interruption.signal.aborted) end();
  const output = shell ? "" : await show(child.stdout);
  await child.status;
  interruption.signal.removeEventListener("abort", end);
  return output;
}

async function show(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await Deno.stdout.write(rest));
  }
  return text;
}

/** Runs tests on a node of their own; returns their output. */
async function runOn(
  family: AddressFamily,
  images: string,
  parts: Parts,
  selected: TestSelection,
): Promise<string> {
  interruption.signal.throwIfAborted();
  heading(`One node of Kubernetes ${parts.version} with ${families[family]} addresses`);
  const folder = await Deno.makeTempDir({ prefix: `${clusterPrefix}${Deno.pid}-` });
  const cgroup = `${clusterPrefix}${Deno.pid}`;
  const place: Place = { folder, images, nodeName: "e2e-node", cgroup, family };
  try {
    await makeCgroups(cgroup);
    const tests = [Deno.execPath(), "test", "--allow-all", "--no-check"]
      .concat(selectionArguments(selected));
    return await runNode(place, parts, shell ? ["/bin/bash"] : tests);
  } finally {
    await removeCgroups(cgroup);
    await Deno.remove(folder, { recursive: true });
  }
}

/** What is wrong with the counts of a run, where the tests did not run to their end. */
function problemOf(selected: TestSelection, counts: TestCounts | undefined): string | undefined {
  if (interruption.signal.aborted || !counts) return "the tests did not run to their end";
  return missedSelection(selected, counts);
}

async function perform(
  parts: Parts,
  selected: TestSelection,
): Promise<{ passed: number; failed: number; skipped: number }> {
  await removeLeftovers();
  const before = await machineState();
  const folder = await Deno.makeTempDir({ prefix: `${clusterPrefix}${Deno.pid}-` });
  const sum = { passed: 0, failed: 0, skipped: 0 };
  try {
    heading("The images");
    const images = `${folder}/images`;
    await Deno.mkdir(images);
    // Not dist/, which another task may be writing; the tests run what is bundled here too.
    Deno.env.set(bundleFolderVariable, `${folder}/programs`);
    await buildImage(`${images}/product.tar`, { runtime: "bundle" });
    await toolImages(images, `${parts.tools}/peer`);
    for (const family of ["ipv4", "ipv6"] as const) {
      const files = selected.files.filter((file) => familyOf(file) === family);
      if (files.length === 0) continue;
      if (family === "ipv6" && !await hasIpv6()) {
        console.log(`e2e: skipped: ${files.join(", ")}: this machine's kernel has no IPv6`);
        sum.skipped += files.length;
        continue;
      }
      const ofFamily = { ...selected, files };
      const output = await runOn(family, images, parts, ofFamily);
      if (shell) return sum;
      const counts = readCounts(output);
      const problem = problemOf(ofFamily, counts);
      if (problem !== undefined) note(problem);
      sum.passed += counts?.passed ?? 0;
      sum.failed += (counts?.failed ?? 0) + (problem === undefined ? 0 : 1);
      sum.skipped += counts?.ignored.length ?? 0;
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  const left = before.differences(await machineState());
  heading("What remains on the machine");
  for (const difference of left) console.log(`e2e: FAILED: ${difference}`);
  if (left.length === 0) note("nothing: mounts, cgroups, sysctls and processes are as before");
  if (left.length === 0) sum.passed += 1;
  else sum.failed += 1;
  return sum;
}

if (import.meta.main) {
  const selected = await selection();
  const found = await findParts((text) => progress(() => text));
  if (found.kind === "missing") {
    console.log(`e2e: skipped: ${found.reason}`);
    close(0, 0, 1);
  }
  const started = performance.now();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    Deno.addSignalListener(signal, () => interruption.abort(new Error("interrupted")));
  }
  try {
    const { passed, failed, skipped } = await perform(found.parts, selected);
    console.log(`e2e: ${Math.round((performance.now() - started) / 1000)} s`);
    close(passed, failed, skipped);
  } catch (error) {
    console.error(`e2e: ${errorMessage(error)}`);
    close(0, 1, 0);
  }
}
