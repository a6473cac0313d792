import type { Clock } from "../../shared/scheduler/clock.ts";
import { parseIpAddress } from "../../shared/text/name_syntax.ts";

export interface AddressLimitsOptions {
  readonly clock: Clock;
  /** Connections in all, and of one address. */
  readonly connections: { readonly inAll: number; readonly perAddress: number };
  /** Requests of one address a second, and at once after a pause. */
  readonly requests: { readonly perSecond: number; readonly burst: number };
}

interface Bucket {
  level: number;
  filledAt: Temporal.Instant;
}

/** A bucket that is forgotten is full again: an address loses nothing by it. */
const mostBuckets = 10_000;

/** What one address, and all together, may do; addresses can be shared by many clients. */
export class AddressLimits {
  readonly #options: AddressLimitsOptions;
  /** Open connections by address. */
  readonly #open = new Map<string, number>();
  /** The least recently used first. */
  readonly #buckets = new Map<string, Bucket>();
  #openInAll = 0;

  constructor(options: AddressLimitsOptions) {
    this.#options = options;
  }

  get open(): number {
    return this.#openInAll;
  }

  /** A connection's place, released by disposing it; undefined when there is none. */
  connect(address: string): Disposable | undefined {
    const { inAll, perAddress } = this.#options.connections;
    const key = addressKey(address);
    const count = this.#open.get(key) ?? 0;
    if (this.#openInAll >= inAll || count >= perAddress) return undefined;
    this.#openInAll++;
    this.#open.set(key, count + 1);
    let isOpen = true;
    return {
      [Symbol.dispose]: () => {
        if (!isOpen) return;
        isOpen = false;
        this.#openInAll--;
        const rest = (this.#open.get(key) ?? 1) - 1;
        if (rest > 0) this.#open.set(key, rest);
        else this.#open.delete(key);
      },
    };
  }

  /** Whether an address may have one more request answered now. */
  admits(address: string): boolean {
    const { clock, requests: { perSecond, burst } } = this.#options;
    const key = addressKey(address);
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

/** An address as it is counted: IPv4-mapped ones as IPv4, IPv6 by its network of 64 bits. */
export function addressKey(address: string): string {
  const [plain = ""] = address.split("%");
  const canonical = parseIpAddress(plain) ?? plain;
  if (!canonical.includes(":")) return canonical;
  const [head = "", tail] = canonical.split("::");
  const [before = [], after = []] = [head, tail ?? ""].map((part) =>
    part === "" ? [] : part.split(":")
  );
  const zeros = tail === undefined ? 0 : 8 - before.length - after.length;
  const groups = [...before, ...new Array<string>(zeros).fill("0"), ...after];
  return `${groups.slice(0, 4).join(":")}::/64`;
}
