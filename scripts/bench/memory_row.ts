import { makeCa } from "./authorities.ts";
import { Background } from "./background.ts";
import { batch } from "./load.ts";
import { NodeProcess } from "./node_process.ts";
import { measured, type Result, skipped } from "./result.ts";
import { startService } from "./service_process.ts";
import type { Settings } from "./settings.ts";

const row = 6;
const mebi = 2 ** 20;
/** As in the image, where Deno has nowhere to keep compiled code: it parses the program at each start. */
const nothingCached = { DENO_DIR: "/dev/null/none" };

/** The programs' memory: idle, and for each volume and entry. */
export async function memoryRow(settings: Settings, directory: string): Promise<Result[]> {
  const ca = await makeCa(directory, "P-256");
  const bare = await atRest(await bareDeno(directory)) / mebi;
  const against = (value: number) => ({
    reference: { what: "Deno alone", samples: [bare], ratio: value / bare },
  });
  const results: Result[] = [];
  await using resources = new AsyncDisposableStack();
  const service = await startService(settings, directory, ca);
  resources.use(service.process);
  const idle = await settled(service.process) / mebi;
  results.push(measured(row, "cert-service at rest", "MiB", [idle], against(idle)));
  if (settings.mounts) {
    await using node = await NodeProcess.start({
      settings,
      directory: `${directory}/n`,
      service,
      env: nothingCached,
    });
    const empty = await settled(node.process) / mebi;
    results.push(measured(row, "csi-driver at rest", "MiB", [empty], against(empty)));
    const volumes = await Promise.all(Array.from({ length: 110 }, (_, n) => node.admit(n)));
    await batch(110, 8, (n) => node.publish(volumes[n]!));
    const full = await settled(node.process) / mebi;
    results.push(measured(row, "csi-driver with 110 volumes", "MiB", [full], { atMost: 64 }));
    await batch(110, 8, (n) => node.unpublish(volumes[n]!));
  } else {
    const reason = "mounting is not permitted on this machine";
    results.push(skipped(row, "csi-driver with volumes", reason));
  }
  const volumes = await perEntry("volumes", 1_000);
  results.push(
    measured(row, "heap for each further volume", "KiB", [volumes / 1024], { atMost: 4 }),
  );
  for (const count of [10_000, settings.quick ? 100_000 : 1_000_000]) {
    const each = await perEntry("inventory", count);
    const name = `memory for each entry of an inventory of ${count}`;
    results.push(measured(row, name, "B", [each], { atMost: 1_024 }));
  }
  return results;
}

/** Memory after a moment without any call. */
async function settled(process: Background): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  return await process.residentBytes();
}

async function atRest(process: Background): Promise<number> {
  await using running = process;
  return await settled(running);
}

async function bareDeno(directory: string): Promise<Background> {
  const script = `${directory}/bare.js`;
  await Deno.writeTextFile(script, `console.log("ready"); setInterval(() => {}, 60_000);`);
  const { process } = await Background.start(
    [Deno.execPath(), "run", "--quiet", "--no-config", script],
    { directory, ready: (output) => output.includes("ready") || undefined },
  );
  return process;
}

async function perEntry(what: string, count: number): Promise<number> {
  const child = new URL("memory_child.ts", import.meta.url).pathname;
  const flags = ["--v8-flags=--expose-gc,--max-old-space-size=4096"];
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--quiet", "-A", ...flags, child, what, String(count)],
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(decoder.decode(stderr));
  return Number(decoder.decode(stdout).split(" ")[0]);
}
