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

/**
 * The smallest bound in milliseconds that no observation between two readings was above; Infinity
 * when the second reading was not answered.
 */
export function largestLagMs(before: LagCounts, after: LagCounts): number | undefined {
  const last = after.at(-1);
  if (last === undefined) return Infinity;
  if (before.length === 0) return undefined;
  const total = last[1] - (before.at(-1)?.[1] ?? 0);
  if (total <= 0) return undefined;
  const bound = after.find(([, count], index) => count - (before[index]?.[1] ?? 0) >= total);
  return (bound?.[0] ?? Infinity) * 1000;
}
