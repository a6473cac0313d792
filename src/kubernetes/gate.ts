/** Lets a bounded number of calls be under way at once, and a bounded number wait. */
export class Gate {
  readonly #concurrency: number;
  readonly #capacity: number;
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor({ concurrency, capacity }: { concurrency: number; capacity: number }) {
    this.#concurrency = concurrency;
    this.#capacity = capacity;
  }

  /** Does the work when it is its turn; undefined: too many wait. Rejects as the work does, or when aborted meanwhile. */
  async run<T>(
    work: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<{ readonly value: T } | undefined> {
    signal.throwIfAborted();
    if (this.#running < this.#concurrency) this.#running++;
    else if (this.#waiting.size >= this.#capacity) return undefined;
    else await this.#turn(signal);
    try {
      return { value: await work() };
    } finally {
      this.#next();
    }
  }

  #turn(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const leave = () => {
      this.#waiting.delete(start);
      reject(signal.reason);
    };
    const start = () => {
      signal.removeEventListener("abort", leave);
      resolve();
    };
    this.#waiting.add(start);
    signal.addEventListener("abort", leave, { once: true });
    return promise;
  }

  /** Hands the place that became free to who waits longest. */
  #next(): void {
    const [first] = this.#waiting;
    if (first === undefined) this.#running--;
    else {
      this.#waiting.delete(first);
      first();
    }
  }
}
