/** Lets a bounded number of callers work at once; the others wait in the order of their calls. */
export class Semaphore {
  readonly #atOnce: number;
  #taken = 0;
  /** In the order of the calls. */
  readonly #waiting = new Set<() => void>();

  constructor(atOnce: number) {
    this.#atOnce = atOnce;
  }

  /** Whether the next caller has to wait. */
  get isFull(): boolean {
    return this.#taken >= this.#atOnce;
  }

  /** How many wait. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** A permit, released by disposing it; rejects with the signal's reason when that comes first. */
  async acquire(signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted();
    if (this.#taken < this.#atOnce) this.#taken++;
    else await this.#wait(signal);
    let isReleased = false;
    return {
      [Symbol.dispose]: () => {
        if (isReleased) return;
        isReleased = true;
        this.#release();
      },
    };
  }

  #wait(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => {
      this.#waiting.delete(start);
      reject(signal.reason);
    };
    const start = () => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    };
    this.#waiting.add(start);
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Passes the permit to the next caller directly, so that no other can acquire it in between. */
  #release(): void {
    const [next] = this.#waiting;
    if (next === undefined) return void this.#taken--;
    this.#waiting.delete(next);
    next();
  }
}
