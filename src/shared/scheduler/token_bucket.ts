import type { Clock } from "./clock.ts";

/** How many events a second are allowed, and how many at once after a pause. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

/** Limits a rate: each event takes a token, and tokens are added as time passes. */
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

  /** Takes tokens; returns false, and takes none, when there are not enough. */
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
