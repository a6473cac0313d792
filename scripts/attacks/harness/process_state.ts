/** What the kernel and the program itself report about a process under attack. */

/** Largest resident memory since the process began or `resetPeak` was called, in MiB. */
export async function peakMiB(pid: number): Promise<number> {
  return await statusMiB(pid, "VmHWM");
}

export async function residentMiB(pid: number): Promise<number> {
  return await statusMiB(pid, "VmRSS");
}

async function statusMiB(pid: number, field: string): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`).catch(() => "");
  return Number(new RegExp(`^${field}:\\s+([0-9]+) kB`, "m").exec(text)?.[1] ?? 0) / 1024;
}

/** Begins a new measurement of the largest resident memory (proc(5), clear_refs). */
export async function resetPeak(pid: number): Promise<void> {
  await Deno.writeTextFile(`/proc/${pid}/clear_refs`, "5").catch(() => {});
}

/** Counts of the event loop's lag by upper bound in seconds, ascending. */
export type LagCounts = readonly (readonly [bound: number, count: number])[];

/** Reads the metric event_loop_lag_seconds; empty when it is not answered. */
export async function readLag(healthAddress: string): Promise<LagCounts> {
  const text = await get(`http://${healthAddress}/metrics`);
  const found = text.matchAll(/^event_loop_lag_seconds_bucket\{le="([^"]+)"\} (\d+)$/gm);
  return [...found].map(([, bound, count]) => [
    bound === "+Inf" ? Infinity : Number(bound),
    Number(count),
  ]);
}

async function get(url: string): Promise<string> {
  try {
    return await (await fetch(url, { signal: AbortSignal.timeout(5_000) })).text();
  } catch {
    return "";
  }
}

/** The longest lag that was observed, in milliseconds: above the one and up to the other. */
export interface Lag {
  readonly aboveMs: number;
  readonly upToMs: number;
}

/** The longest lag between two readings; unbounded when the second one was not answered. */
export function largestLag(before: LagCounts, after: LagCounts): Lag | undefined {
  const last = after.at(-1);
  if (last === undefined) return { aboveMs: Infinity, upToMs: Infinity };
  if (before.length === 0) return undefined;
  const total = last[1] - (before.at(-1)?.[1] ?? 0);
  if (total <= 0) return undefined;
  const at = after.findIndex(([, count], index) => count - (before[index]?.[1] ?? 0) >= total);
  const [bound = Infinity] = after[at] ?? [];
  return { aboveMs: (after[at - 1]?.[0] ?? 0) * 1000, upToMs: bound * 1000 };
}
