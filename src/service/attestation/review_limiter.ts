import type { Clock } from "../../shared/scheduler/clock.ts";
import { isWithin } from "../../shared/scheduler/instants.ts";

/** The time from the start of one call to the start of the next. */
const interval = { seconds: 1 };

/** Runs one review at a time and one a second; rejects all others at once. */
export class ReviewLimiter {
  readonly #clock: Clock;
  #isBusy = false;
  #startedAt: Temporal.Instant | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Returns the result of the review; undefined when it was not run. Rejects as the review does. */
  async run<T>(review: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    const now = this.#clock.now();
    const isPaused = this.#startedAt !== undefined && isWithin(this.#startedAt, interval, now);
    if (this.#isBusy || isPaused) return undefined;
    this.#isBusy = true;
    this.#startedAt = now;
    try {
      return { value: await review() };
    } finally {
      this.#isBusy = false;
    }
  }
}
