import { makeCa } from "./authorities.ts";
import { batch } from "./load.ts";
import { NodeProcess } from "./node_process.ts";
import { measured, type Result, skipped } from "./result.ts";
import { startService } from "./service_process.ts";
import type { Settings } from "./settings.ts";
import { interleave, ratioOf } from "./statistics.ts";

const row = 5;

/** From the start of a driver whose node has volumes to ready. */
export async function restartRow(settings: Settings, directory: string): Promise<Result[]> {
  if (!settings.mounts) {
    return [skipped(row, "restart", "mounting is not permitted on this machine")];
  }
  const ca = await makeCa(directory, "P-256");
  await using resources = new AsyncDisposableStack();
  const service = await startService(settings, directory, ca);
  resources.use(service.process);
  const sizes = [0, 10, 100, ...settings.quick ? [] : [1_000]];
  const restarts: Record<string, () => Promise<number>> = {};
  for (const size of sizes) {
    const options = { settings, directory: `${directory}/n${size}`, service };
    {
      await using node = await NodeProcess.start(options);
      const volumes = await Promise.all(Array.from({ length: size }, (_, n) => node.admit(n)));
      await batch(size, 16, (n) => node.publish(volumes[n]!));
      await node.process.stop("SIGTERM");
    }
    restarts[`n${size}`] = async () => {
      const from = performance.now();
      await using node = await NodeProcess.start(options);
      const ms = performance.now() - from;
      await node.process.stop("SIGTERM");
      return ms;
    };
  }
  const samples = await interleave(settings.quick ? 3 : 5, restarts);
  const empty = samples.n0 ?? [];
  return sizes.flatMap((size) => {
    const values = samples[`n${size}`] ?? [];
    const name = `restart with ${size} volumes, to ready`;
    if (size === 0) return [measured(row, name, "ms", values)];
    const reference = { what: "without volumes", samples: empty, ratio: ratioOf(values, empty) };
    return [
      measured(row, name, "ms", values, { reference }),
      ...size === 1_000
        ? [measured(row, `${name}: all of it`, "ms", values, { atMost: 1_000 })]
        : [],
    ];
  });
}
