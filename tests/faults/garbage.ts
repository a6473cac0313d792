import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** A program's memory after a garbage collection, in bytes. */
export function heldMemory(): { heapUsed: number; rss: number } {
  collect();
  const { heapUsed, rss } = Deno.memoryUsage();
  return { heapUsed, rss };
}
