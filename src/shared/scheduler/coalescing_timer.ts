import type { Clock } from "./clock.ts";

/**
 * Runs an action some time after it was scheduled; to schedule it while it waits changes nothing. So it
 * also runs during a steady stream of calls, and at most once in each wait.
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
