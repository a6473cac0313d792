import { makeCa } from "./authorities.ts";
import { Background } from "./background.ts";
import { NodeProcess } from "./node_process.ts";
import { measured, type Result } from "./result.ts";
import { startService } from "./service_process.ts";
import type { Settings } from "./settings.ts";
import { interleave, ratioOf } from "./statistics.ts";

const row = 7;

/** From the start of a process to ready, of both programs as they are shipped. */
export async function startRow(settings: Settings, directory: string): Promise<Result[]> {
  const ca = await makeCa(directory, "P-256");
  await using resources = new AsyncDisposableStack();
  const service = await startService(settings, directory, ca);
  resources.use(service.process);
  const bare = `${directory}/bare.js`;
  await Deno.writeTextFile(bare, `console.log("ready"); setInterval(() => {}, 60_000);`);
  const timed = (start: () => Promise<AsyncDisposable>) => async () => {
    const from = performance.now();
    await using _started = await start();
    return performance.now() - from;
  };
  const samples = await interleave(settings.quick ? 5 : 15, {
    driver: timed(() => NodeProcess.start({ settings, directory: `${directory}/driver`, service })),
    service: timed(async () =>
      (await startService(settings, directory, ca, { tls: true })).process
    ),
    bare: timed(async () => {
      const command = [Deno.execPath(), "run", "--quiet", "--no-config", bare];
      const ready = (output: string) => output.includes("ready") || undefined;
      return (await Background.start(command, { directory, ready })).process;
    }),
  });
  return (["driver", "service"] as const).flatMap((name) => {
    const values = samples[name];
    const what = `${name === "driver" ? "csi-driver" : "cert-service"}, start to ready`;
    const ratio = ratioOf(values, samples.bare);
    const reference = { what: "Deno alone", samples: samples.bare, ratio };
    return [
      measured(row, what, "ms", values, { reference }),
      measured(row, `${what}: all of it`, "ms", values, { atMost: 250 }),
    ];
  });
}
