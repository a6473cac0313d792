// What each step costs, compared with references that are measured in the same run.

import { dirname } from "node:path";
import { burstRow } from "./bench/burst_row.ts";
import { memoryRow } from "./bench/memory_row.ts";
import { nodeRow } from "./bench/node_row.ts";
import { restartRow } from "./bench/restart_row.ts";
import { formatResults, type Result, skipped } from "./bench/result.ts";
import { schedulerRow } from "./bench/scheduler_row.ts";
import { serviceRow } from "./bench/service_row.ts";
import type { Settings } from "./bench/settings.ts";
import { startRow } from "./bench/start_row.ts";
import { bundleAll } from "./bundle.ts";
import { mountsBelow } from "./demo/test_environment.ts";
import { privateNamespace } from "./mount_namespace.ts";
import { shareMounts } from "./support/shared_mount.ts";
import { entryOf } from "./permissions.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";
import { taskArguments } from "./support/task_options.ts";

type Row = (settings: Settings, directory: string) => Promise<Result[]>;

const rows: Readonly<Record<string, { name: string; run: Row }>> = {
  1: { name: "one certificate from the service", run: serviceRow },
  2: { name: "one volume on the node", run: nodeRow },
  3: { name: "bursts", run: burstRow },
  4: { name: "the scheduler", run: schedulerRow },
  5: { name: "restarts", run: restartRow },
  6: { name: "memory", run: memoryRow },
  7: { name: "start to ready", run: startRow },
};

const { options: flags } = taskArguments({
  name: "bench",
  options: {
    quick: { type: "boolean", help: "fewer and shorter rounds, with more noise" },
    rows: {
      type: "string",
      value: "1,2",
      default: Object.keys(rows).join(","),
      help: "these rows only, by their numbers",
    },
    dist: { type: "string", value: "DIR", help: "measure these bundles instead of new ones" },
    out: { type: "string", value: "FILE", default: "dist/bench.json", help: "the results as JSON" },
    // Set by the benchmark itself when it has started itself again where it may mount.
    inside: { type: "boolean" },
  },
});

const unknown = flags.rows.split(",").filter((number) => !Object.hasOwn(rows, number));
if (unknown.length > 0) {
  console.error(
    `bench: --rows ${flags.rows}: no row ${unknown.join(", ")}; expected some of ${
      Object.keys(rows).join(",")
    }`,
  );
  Deno.exit(2);
}

async function bench(): Promise<void> {
  const dist = flags.dist ?? dirname(entryOf("csi-driver", "bundle"));
  const settings: Settings = { quick: flags.quick, dist, mounts: flags.inside };
  const results: Result[] = [];
  for (const number of flags.rows.split(",")) {
    const row = rows[number]!;
    console.error(`row ${number}: ${row.name}`);
    const directory = await Deno.makeTempDir({ prefix: "csi-bench-" });
    const sharing = shareMounts(directory);
    try {
      results.push(...await row.run(settings, directory));
    } catch (error) {
      const why = errorMessage(error);
      console.error(error);
      results.push(skipped(Number(number), row.name, why));
    } finally {
      await clear(directory, sharing);
    }
  }
  console.log(formatResults(results));
  const { hardwareConcurrency: cores } = navigator;
  const machine = { cores, deno: Deno.version.deno, load: Deno.loadavg() };
  await Deno.writeTextFile(flags.out, JSON.stringify({ ...settings, machine, results }, null, 2));
  console.error(`written to ${flags.out}`);
}

/** Removes a row's directory, volumes that are still mounted below it first. */
async function clear(directory: string, sharing: Disposable): Promise<void> {
  for (const path of (await mountsBelow(directory)).reverse()) {
    await new Deno.Command("umount", { args: ["--lazy", path], stderr: "null" }).output();
  }
  sharing[Symbol.dispose]();
  await Deno.remove(directory, { recursive: true });
}

if (flags.inside) await bench();
else {
  if (flags.dist === undefined) await bundleAll();
  const namespace = await privateNamespace();
  const again = [Deno.execPath(), "run", "-A", import.meta.filename!, ...Deno.args];
  if (namespace === undefined) await bench();
  else {
    const { command, args } = namespace;
    const child = new Deno.Command(command, { args: [...args, ...again, "--inside"] }).spawn();
    Deno.exit((await child.status).code);
  }
}
