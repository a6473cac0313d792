/**
 * Spreads work that holds the event loop over its turns: one piece in each. Who comes when nobody
 * else did in this turn goes on without a wait; the others follow in the order in which they came.
 */
export class EventLoopLimiter {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** Resolves in a turn of the event loop that nobody else has had. */
  acquire(): Promise<void> {
    if (this.#isTaken) return new Promise((resolve) => void this.#waiting.push(resolve));
    this.#isTaken = true;
    setImmediate(() => this.#pass());
    return Promise.resolve();
  }

  #pass(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#isTaken = false;
    else {
      setImmediate(() => this.#pass());
      next();
    }
  }
}
/** Resolves when everything else that waits for the event loop has had its turn. */
export function yieldToEventLoop(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
