import { addressKey } from "../../shared/http/connection_limits.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";

export interface AttestationLimitsOptions {
  readonly clock: Clock;
  /** Attestations that are under way, in all and of one address. */
  readonly atOnce: { readonly total: number; readonly perAddress: number };
  /** Requests of one address a second, and at once after a pause. */
  readonly requests: { readonly perSecond: number; readonly burst: number };
}

/** Addresses can be shared by many nodes (SNAT). */
export const defaultAttestationLimits = {
  atOnce: { total: 64, perAddress: 16 },
  requests: { perSecond: 20, burst: 40 },
} as const;

export type AttestationPlace =
  | { readonly kind: "place"; readonly place: Disposable }
  /** This address has too many. */
  | { readonly kind: "limited" }
  /** All addresses together have too many. */
  | { readonly kind: "busy" };

interface Bucket {
  level: number;
  filledAt: Temporal.Instant;
}

/** A bucket that is forgotten is full again: an address loses nothing by it. */
const mostBuckets = 10_000;

/** What one address, and all together, may have attested: the cheapest check of a complete request. */
export class AttestationLimits {
  readonly #options: AttestationLimitsOptions;
  readonly #underWay = new Map<string, number>();
  /** The least recently used first. */
  readonly #buckets = new Map<string, Bucket>();
  #total = 0;

  constructor(options: AttestationLimitsOptions) {
    this.#options = options;
  }

  /** A place for one attestation, released by disposing it. */
  acquire(address: string): AttestationPlace {
    const { total, perAddress } = this.#options.atOnce;
    const key = addressKey(address);
    const count = this.#underWay.get(key) ?? 0;
    if (count >= perAddress || !this.#takeFromBucket(key)) return { kind: "limited" };
    if (this.#total >= total) return { kind: "busy" };
    this.#total++;
    this.#underWay.set(key, count + 1);
    return { kind: "place", place: { [Symbol.dispose]: () => this.#release(key) } };
  }

  #release(key: string): void {
    this.#total--;
    const rest = (this.#underWay.get(key) ?? 1) - 1;
    if (rest > 0) this.#underWay.set(key, rest);
    else this.#underWay.delete(key);
  }

  #takeFromBucket(key: string): boolean {
    const { clock, requests: { perSecond, burst } } = this.#options;
    const now = clock.now();
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
