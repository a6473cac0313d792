import { Turns } from "../scheduler/turns.ts";

/** Lets a bounded number of calls be under way at once, and a bounded number wait. */
export class Gate {
  readonly #turns: Turns;
  readonly #capacity: number;

  constructor({ concurrency, capacity }: { concurrency: number; capacity: number }) {
    this.#turns = new Turns(concurrency);
    this.#capacity = capacity;
  }

  /** Does the work when it is its turn; undefined: too many wait. Rejects as the work does, or when aborted meanwhile. */
  async run<T>(
    work: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly value: T } | undefined> {
    signal.throwIfAborted();
    if (this.#turns.areTaken && this.#turns.waiting >= this.#capacity) return undefined;
    using _turn = await this.#turns.take(signal);
    return { value: await work() };
  }
}
