/** The driver with a stopwatch at its edges; writes what each took, in milliseconds, when it receives a signal to stop. */
import { main } from "../../src/csi_driver.ts";
import type { Mounter } from "../../src/driver/volume/mounter.ts";
import type { VolumeStore } from "../../src/driver/volume/volume_record.ts";

const times: Record<string, number[]> = {};

/** The same function, with its time measured. */
function timed<A extends unknown[], R>(name: string, call: (...args: A) => Promise<R>) {
  return async (...args: A): Promise<R> => {
    const from = performance.now();
    try {
      return await call(...args);
    } finally {
      (times[name] ??= []).push(performance.now() - from);
    }
  };
}

/** An edge whose named method is timed; every other one is the edge's own. */
function watched<T extends object>(edge: T, method: keyof T & string, name: string): T {
  const original = (edge[method] as (...args: unknown[]) => Promise<unknown>).bind(edge);
  return new Proxy(edge, {
    get: (target, key) => {
      if (key === method) return timed(name, original);
      const value = Reflect.get(target, key, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

const code = await main([], (edges) =>
  ({
    ...edges,
    mounter: watched(edges.mounter as Mounter & Disposable, "publish", "mount and write"),
    store: watched(edges.store as VolumeStore, "save", "record"),
    issuer: watched(edges.issuer, "issue", "call"),
  }) as typeof edges);
await Deno.writeTextFile(Deno.env.get("BENCH_TIMES") ?? "/dev/null", JSON.stringify(times));
Deno.exit(code);
