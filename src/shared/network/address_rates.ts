import type { Clock } from "../scheduler/clock.ts";
import { type Rate, TokenBucket } from "../scheduler/token_bucket.ts";
import { addressKey } from "./address_key.ts";

/** More than the addresses of a large cluster's nodes; some 100 bytes each. */
const mostAddresses = 16_384;

/** A token bucket for each address. An address whose bucket was evicted has a full one again. */
export class AddressRates {
  readonly #clock: Clock;
  readonly #rate: Rate;
  /** By the address's key, the least recently used first. */
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(clock: Clock, rate: Rate) {
    this.#clock = clock;
    this.#rate = rate;
  }

  /** Whether the address may do it again now. */
  admits(address: string): boolean {
    const key = addressKey(address);
    const bucket = this.#buckets.get(key) ?? new TokenBucket(this.#rate, this.#clock);
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    if (this.#buckets.size > mostAddresses) {
      const [oldest] = this.#buckets.keys();
      if (oldest !== undefined) this.#buckets.delete(oldest);
    }
    return bucket.take();
  }
}
