import type { Clock } from "../scheduler/clock.ts";
import { addressKey } from "./connection_limits.ts";

/** What one address may do a second, and at once after a pause. */
export interface AddressRate {
  readonly perSecond: number;
  readonly burst: number;
}

interface Bucket {
  level: number;
  filledAt: Temporal.Instant;
}

/** A bucket that is forgotten is full again: an address loses nothing by it. */
const mostBuckets = 10_000;

/** A token bucket for each address. */
export class AddressRates {
  readonly #clock: Clock;
  readonly #rate: AddressRate;
  /** The least recently used first. */
  readonly #buckets = new Map<string, Bucket>();

  constructor(clock: Clock, rate: AddressRate) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Whether an address may do it once more now. */
  admits(address: string): boolean {
    const { perSecond, burst } = this.#rate;
    const key = addressKey(address);
    const now = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { level: burst, filledAt: now };
    const elapsedMs = now.epochMilliseconds - bucket.filledAt.epochMilliseconds;
    bucket.level = Math.min(burst, bucket.level + Math.max(0, elapsedMs) * perSecond / 1000);
    bucket.filledAt = now;
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > mostBuckets) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    if (bucket.level < 1) return false;
    bucket.level--;
    return true;
  }
}
