/**
 * How long random tests go on: FUZZ_RUNS multiplies the usual number of runs, FUZZ_SEED repeats the runs of a failure,
 * which tells its seed.
 */
export function runs(usual: number): { numRuns: number; seed?: number } {
  const times = Number(Deno.env.get("FUZZ_RUNS") ?? "1");
  const seed = Deno.env.get("FUZZ_SEED");
  const numRuns = Math.max(1, Math.round(usual * times));
  return seed === undefined ? { numRuns } : { numRuns, seed: Number(seed) };
}
