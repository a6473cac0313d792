const buckets = /^event_loop_lag_seconds_bucket\{le="(.+)"\} (\d+)$/gm;

/** The event-loop lag that a program exposes among its metrics. */
export class LagHistogram {
  /** How many samples were at most each bound; the last is the number of samples. */
  readonly #counts: readonly (readonly [bound: number, count: number])[];
  readonly #sum: number;

  constructor(metrics: string) {
    this.#counts = [...metrics.matchAll(buckets)].map(([, bound, count]) =>
      [bound === "+Inf" ? Infinity : Number(bound), Number(count)] as const
    );
    this.#sum = Number(/^event_loop_lag_seconds_sum (.+)$/m.exec(metrics)?.[1] ?? 0);
  }

  /** The difference from an earlier reading. */
  since(before: LagHistogram): { meanMs: number; percentileMs(share: number): number } {
    const counts = this.#counts.map(([bound, count], index) =>
      [bound, count - (before.#counts[index]?.[1] ?? 0)] as const
    );
    const all = counts.at(-1)?.[1] ?? 0;
    return {
      meanMs: (this.#sum - before.#sum) / all * 1000,
      /** The bound that this share kept to. */
      percentileMs: (share) =>
        (counts.find(([, count]) => count >= share * all)?.[0] ?? NaN) * 1000,
    };
  }
}
