/**
 * Spreads work that blocks the event loop over its turns: one piece in each. The first caller in a turn
 * continues at once; the others follow in the order of their calls.
 */
export class EventLoopLimiter {
  readonly #waiting: (() => void)[] = [];
  #isTaken = false;

  /** Resolves in a turn of the event loop that no other caller has used. */
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
