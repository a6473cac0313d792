import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

setFlagsFromString("--expose-gc");
const collect: () => void = runInNewContext("gc");

/** What a program holds once its garbage is collected, in bytes. */
export function heldMemory(): { heapUsed: number; rss: number } {
  collect();
  const { heapUsed, rss } = Deno.memoryUsage();
  return { heapUsed, rss };
}
