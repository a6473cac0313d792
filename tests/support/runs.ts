/** The seed of `deno task test`; a run with FUZZ_RUNS has other seeds. */
const usualSeed = 20_260_101;

/**
 * How many runs random tests have, and from which seed: the same runs each time, so that one code has one outcome.
 * FUZZ_RUNS multiplies the number of runs and draws new seeds; FUZZ_SEED repeats a failure, whose report contains the seed.
 */
export function runs(usual: number): { numRuns: number; seed?: number } {
  const times = Deno.env.get("FUZZ_RUNS");
  const seed = Deno.env.get("FUZZ_SEED");
  const numRuns = Math.max(1, Math.round(usual * Number(times ?? "1")));
  if (seed !== undefined) return { numRuns, seed: Number(seed) };
  return times === undefined ? { numRuns, seed: usualSeed } : { numRuns };
}
