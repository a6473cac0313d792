/** What a load generator saw. */
export interface Load {
  readonly perSecond: number;
  /** Milliseconds, sorted. */
  readonly latencies: readonly number[];
}

/** Calls as often as possible with a fixed concurrency for some time; a call that fails ends it. */
export async function load(
  concurrency: number,
  seconds: number,
  call: (n: number) => Promise<unknown>,
): Promise<Load> {
  const started = performance.now();
  const end = started + seconds * 1000;
  const latencies: number[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: concurrency }, async () => {
    while (performance.now() < end) {
      const from = performance.now();
      await call(next++);
      latencies.push(performance.now() - from);
    }
  }));
  const elapsed = (performance.now() - started) / 1000;
  return {
    perSecond: latencies.length / elapsed,
    latencies: latencies.sort((left, right) => left - right),
  };
}

/** Runs a number of actions with a fixed concurrency; returns the milliseconds of each, in the order of their ends. */
export async function batch(
  count: number,
  concurrency: number,
  call: (n: number) => Promise<unknown>,
): Promise<number[]> {
  const latencies: number[] = [];
  let next = 0;
  await Promise.all(Array.from({ length: Math.min(count, concurrency) }, async () => {
    while (next < count) {
      const n = next++;
      const from = performance.now();
      await call(n);
      latencies.push(performance.now() - from);
    }
  }));
  return latencies;
}
