/**
 * Spreads work that blocks the event loop over its iterations, one piece in each. The first caller in an
 * iteration continues at once; the others follow in the order of their calls.
 */
export class EventLoopLimiter {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** Resolves in an iteration of the event loop that no other caller has used. */
  acquire(): Promise<void> {
    if (this.#isTaken) return new Promise((resolve) => void this.#waiting.push(resolve));
    this.#isTaken = true;
    setImmediate(() => this.#next());
    return Promise.resolve();
  }

  #next(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#isTaken = false;
    else {
      setImmediate(() => this.#next());
      next();
    }
  }
}
/** Resolves in the next iteration of the event loop, after the events that are ready now. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
