/**
 * What each step costs, compared with references that are measured in the same run.
 *
 * --quick       fewer and shorter rounds: minutes become seconds, and the noise grows
 * --rows 1,2    these rows only
 * --dist DIR    bundles to measure instead of building dist/ again
 * --out FILE    where the results go as JSON (dist/bench.json)
 */
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
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
import { mountsBelow } from "./demo/stage.ts";
import { privateNamespace } from "./mount_namespace.ts";
import { entryOf } from "./permissions.ts";
import { errorMessage } from "../src/shared/text/error_message.ts";

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

const { values: flags } = parseArgs({
  args: Deno.args,
  options: {
    quick: { type: "boolean", default: false },
    rows: { type: "string", default: Object.keys(rows).join(",") },
    dist: { type: "string" },
    out: { type: "string", default: fileURLToPath(new URL("../dist/bench.json", import.meta.url)) },
    // Set by the benchmark itself when it has started itself again where it may mount.
    inside: { type: "boolean", default: false },
  },
});

async function bench(): Promise<void> {
  const dist = flags.dist ?? dirname(entryOf("csi-driver", "bundle"));
  const settings: Settings = { quick: flags.quick, dist, mounts: flags.inside };
  const results: Result[] = [];
  for (const number of flags.rows.split(",")) {
    const row = rows[number];
    if (row === undefined) {
      throw new Error(`there is no row ${number}; there are ${Object.keys(rows)}`);
    }
    console.error(`row ${number}: ${row.name}`);
    const directory = await Deno.makeTempDir({ prefix: "csi-bench-" });
    try {
      results.push(...await row.run(settings, directory));
    } catch (error) {
      const why = errorMessage(error);
      console.error(error);
      results.push(skipped(Number(number), row.name, why));
    } finally {
      await clear(directory);
    }
  }
  console.log(formatResults(results));
  const { hardwareConcurrency: cores } = navigator;
  const machine = { cores, deno: Deno.version.deno, load: Deno.loadavg() };
  await Deno.writeTextFile(flags.out, JSON.stringify({ ...settings, machine, results }, null, 2));
  console.error(`written to ${flags.out}`);
}

/** Removes a row's directory, volumes that are still mounted below it first. */
async function clear(directory: string): Promise<void> {
  for (const path of (await mountsBelow(directory)).reverse()) {
    await new Deno.Command("umount", { args: ["--lazy", path], stderr: "null" }).output();
  }
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
