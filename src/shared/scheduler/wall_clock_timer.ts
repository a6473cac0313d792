import type { Clock } from "./clock.ts";

/** A longer sleep would outlast a suspend or a step of the wall clock by as much. */
const longestSleepMs = 60_000;

/**
 * One timer that calls back when the wall clock reaches an instant, or sooner: within a minute at
 * the latest, so that the caller reads the wall clock again.
 */
export class WallClockTimer {
  readonly #clock: Clock;
  readonly #callback: () => void;
  #timer: { readonly wakeMs: number; readonly handle: Disposable } | undefined;

  constructor(clock: Clock, callback: () => void) {
    this.#clock = clock;
    this.#callback = callback;
  }

  /** Calls back once for this instant (epoch milliseconds) in place of the last; undefined: never. */
  set(dueMs: number | undefined): void {
    if (dueMs === undefined) return this.#stop();
    const nowMs = this.#clock.now().epochMilliseconds;
    const waitMs = Math.min(dueMs - nowMs, longestSleepMs);
    const wakeMs = waitMs <= 0 ? -Infinity : nowMs + waitMs;
    if (this.#wakesBy(wakeMs, nowMs)) return;
    this.#stop();
    const handle = this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      this.#callback();
    });
    this.#timer = { wakeMs, handle };
  }

  /** Whether the timer that runs is early enough; an immediate one is never set back. */
  #wakesBy(wakeMs: number, nowMs: number): boolean {
    if (this.#timer === undefined || this.#timer.wakeMs > wakeMs) return false;
    // A wake in the past was computed before the wall clock stepped forward: it is meaningless.
    return this.#timer.wakeMs > nowMs || this.#timer.wakeMs === -Infinity;
  }

  #stop(): void {
    this.#timer?.handle[Symbol.dispose]();
    this.#timer = undefined;
  }
}
