/** Takes memory, frees most of it, and prints what was resident before and after it was released. */
// Runs with --v8-flags=--expose-gc.
import { openMemoryTrimmer } from "../../../src/shared/linux/memory_trim.ts";

const { gc } = globalThis as unknown as { gc: () => void };
const size = 16 * 1024;

using freed = openMemoryTrimmer();
let buffers: Uint8Array[] | undefined = [];
for (let n = 0; n < 4_000; n++) buffers.push(new Uint8Array(size).fill(1));
// The last ones stay, and keep malloc from giving back what lies before them by itself.
const kept = buffers.slice(-10);
buffers = undefined;
// V8 frees on a thread of its own; a second collection waits for what the first has found.
gc();
gc();
const before = Deno.memoryUsage().rss;
freed.trim();
const after = Deno.memoryUsage().rss;
console.log(JSON.stringify({ before, after, kept: kept.length }));
