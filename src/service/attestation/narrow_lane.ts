import type { Clock } from "../../shared/scheduler/clock.ts";
import { isWithin } from "../../shared/scheduler/instants.ts";

/** One at a time, and not more often than this. */
const pause = { seconds: 1 };

/** Admits one piece of work at a time and one a second; all other work is turned away at once. */
export class NarrowLane {
  readonly #clock: Clock;
  #isBusy = false;
  #startedAt: Temporal.Instant | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The work's result; undefined when it is not admitted. Rejects as the work does. */
  async run<T>(work: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    const now = this.#clock.now();
    const isPaused = this.#startedAt !== undefined && isWithin(this.#startedAt, pause, now);
    if (this.#isBusy || isPaused) return undefined;
    this.#isBusy = true;
    this.#startedAt = now;
    try {
      return { value: await work() };
    } finally {
      this.#isBusy = false;
    }
  }
}
