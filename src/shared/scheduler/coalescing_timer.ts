import type { Clock } from "./clock.ts";

/**
 * Something to do a while after it was asked for; who asks meanwhile asks for the same.
 *
 * So it is done during a stream of requests too, and no more often than the wait allows.
 */
export class CoalescingTimer implements Disposable {
  readonly #clock: Pick<Clock, "after">;
  readonly #waitMs: number;
  readonly #action: () => void;
  #timer: Disposable | undefined;

  constructor(clock: Pick<Clock, "after">, waitMs: number, action: () => void) {
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#action = action;
  }

  schedule(): void {
    this.#timer ??= this.#clock.after(this.#waitMs, () => {
      this.#timer = undefined;
      this.#action();
    });
  }

  [Symbol.dispose](): void {
    this.#timer?.[Symbol.dispose]();
    this.#timer = undefined;
  }
}
