import type { Clock } from "./clock.ts";

/**
 * Runs an action a fixed time after the first call of `schedule`; further calls until then change nothing.
 * So a steady stream of calls does not delay the action, and it runs at most once in that time.
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
