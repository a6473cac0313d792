import type { Clock } from "./clock.ts";

/** How often something may happen, and how much of it at once after a pause. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Limits a rate: a token is taken for each event, and tokens return with the time. */
export class TokenBucket {
  readonly #rate: Rate;
  readonly #clock: Clock;
  #tokens: number;
  #updatedMs: number;

  constructor(rate: Rate, clock: Clock) {
    this.#rate = rate;
    this.#clock = clock;
    this.#tokens = rate.burst;
    this.#updatedMs = clock.now().epochMilliseconds;
  }

  /** Whether so many tokens were there, which are then taken. */
  take(count = 1): boolean {
    this.#update();
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  #update(): void {
    const nowMs = this.#clock.now().epochMilliseconds;
    // A wall clock that steps back returns no tokens for that time.
    const elapsedMs = Math.max(0, nowMs - this.#updatedMs);
    this.#updatedMs = nowMs;
    const { perSecond, burst } = this.#rate;
    this.#tokens = Math.min(burst, this.#tokens + elapsedMs * perSecond / 1_000);
  }
}
