/** Samples of one thing, in short. */
export interface Summary {
  readonly median: number;
  /** The 10th and the 90th percentile: the spread. */
  readonly low: number;
  readonly high: number;
  readonly samples: number;
}

export function summarize(samples: readonly number[]): Summary {
  const sorted = [...samples].sort((left, right) => left - right);
  return {
    median: percentile(sorted, 0.5),
    low: percentile(sorted, 0.1),
    high: percentile(sorted, 0.9),
    samples: sorted.length,
  };
}

/** The value below which a share of the sorted samples is; NaN for none. */
export function percentile(sorted: readonly number[], share: number): number {
  const at = (sorted.length - 1) * share;
  const [below, above] = [sorted[Math.floor(at)] ?? NaN, sorted[Math.ceil(at)] ?? NaN];
  return below + (above - below) * (at - Math.floor(at));
}

/** The median of the ratios within each round: what disturbs a round disturbs both sides of it. */
export function ratioOf(ours: readonly number[], theirs: readonly number[]): number {
  return summarize(ours.map((value, round) => value / (theirs[round] ?? NaN))).median;
}

/** Measures the candidates in turn, round after round, each round beginning with another one. */
export async function interleave<K extends string>(
  rounds: number,
  candidates: Readonly<Record<K, () => Promise<number>>>,
): Promise<Record<K, number[]>> {
  const names = Object.keys(candidates) as K[];
  const measured = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    K,
    number[]
  >;
  for (let round = 0; round < rounds; round++) {
    for (let turn = 0; turn < names.length; turn++) {
      const name = names[(round + turn) % names.length] as K;
      measured[name].push(await candidates[name]());
    }
  }
  return measured;
}
