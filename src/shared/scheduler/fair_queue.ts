import type { Clock } from "./clock.ts";

export interface FairQueueOptions {
  readonly clock: Clock;
  /** How much work runs at once: of cryptography, more than twice the cores only stalls the event loop. */
  readonly concurrency: number;
  /** How much work waits at most, in all; over it the newest of the key that holds most is rejected. */
  readonly capacity?: number;
  /** How much work of one key waits at most; over it the newest is rejected. */
  readonly capacityPerKey?: number;
}

/** The result of the work, or that it was rejected and when another attempt is useful. */
export type QueueResult<T> =
  | { readonly kind: "done"; readonly value: T }
  | { readonly kind: "overloaded"; readonly retryAfter: Temporal.Duration };

interface Waiter {
  readonly start: () => void;
  readonly reject: () => void;
}

/** A rejected client waits as long as the queue needs for what waits now, within these bounds. */
const shortestRetryMs = 1_000;
const longestRetryMs = 30_000;
/**
 * How much work starts in one iteration of the event loop: some milliseconds of signatures. Without the
 * limit the event loop would be blocked until no work waits.
 */
const startsPerIteration = 16;

/**
 * Bounds the work that runs at once and the work that waits, in all and per key. It is fair: the keys
 * are served in turn, and when the queue is full, the newest work of the key with the most is rejected.
 */
export class FairQueue {
  readonly #clock: Clock;
  readonly #concurrency: number;
  readonly #capacity: number;
  readonly #capacityPerKey: number;
  /** By key, in the order in which the keys are served; no list is empty. */
  readonly #waiting = new Map<string, Waiter[]>();
  #waitingCount = 0;
  #running = 0;
  #averageMs = 5;
  #startsLeft = startsPerIteration;
  /** Free places that are used in the next iteration of the event loop. */
  #deferredStarts = 0;

  constructor(options: FairQueueOptions) {
    const { clock, concurrency, capacity = 4_096, capacityPerKey = 256 } = options;
    this.#clock = clock;
    this.#concurrency = concurrency;
    this.#capacity = capacity;
    this.#capacityPerKey = capacityPerKey;
  }

  /** How much work waits. */
  get waiting(): number {
    return this.#waitingCount;
  }

  /** How much work is being done. */
  get running(): number {
    return this.#running;
  }

  /** Does the work when the queue reaches it; rejects as the work does, or when the signal is aborted. */
  async run<T>(key: string, work: () => Promise<T>, signal: AbortSignal): Promise<QueueResult<T>> {
    signal.throwIfAborted();
    if (this.#running < this.#concurrency) this.#running++;
    else if (!await this.#wait(key, signal)) {
      return { kind: "overloaded", retryAfter: this.#retryAfter() };
    }
    const started = this.#clock.now().epochMilliseconds;
    try {
      return { kind: "done", value: await work() };
    } finally {
      const ms = this.#clock.now().epochMilliseconds - started;
      this.#averageMs += (ms - this.#averageMs) / 16;
      this.#next();
    }
  }

  /** Whether the caller may start: false when it was rejected. */
  #wait(key: string, signal: AbortSignal): Promise<boolean> {
    const list = this.#waiting.get(key) ?? [];
    if (list.length >= this.#capacityPerKey) return Promise.resolve(false);
    if (this.#waitingCount >= this.#capacity && !this.#evictFromLongest(key)) {
      return Promise.resolve(false);
    }
    const { promise, resolve, reject } = Promise.withResolvers<boolean>();
    const onAbort = () => {
      this.#remove(key, waiter);
      reject(signal.reason);
    };
    const settle = (may: boolean) => {
      signal.removeEventListener("abort", onAbort);
      resolve(may);
    };
    const waiter: Waiter = { start: () => settle(true), reject: () => settle(false) };
    list.push(waiter);
    this.#waiting.set(key, list);
    this.#waitingCount++;
    signal.addEventListener("abort", onAbort, { once: true });
    return promise;
  }

  /** Rejects the newest of the longest list, unless that list is the key's own. */
  #evictFromLongest(key: string): boolean {
    let longest: [string, Waiter[]] | undefined;
    for (const entry of this.#waiting) {
      if (longest === undefined || entry[1].length > longest[1].length) longest = entry;
    }
    const own = this.#waiting.get(key)?.length ?? 0;
    const victim = longest?.[1].at(-1);
    if (!longest || !victim || longest[1].length <= own + 1) return false;
    this.#remove(longest[0], victim);
    victim.reject();
    return true;
  }

  #remove(key: string, waiter: Waiter): void {
    const list = this.#waiting.get(key);
    const at = list?.lastIndexOf(waiter) ?? -1;
    if (list === undefined || at < 0) return;
    list.splice(at, 1);
    this.#waitingCount--;
    if (list.length === 0) this.#waiting.delete(key);
  }

  /** Starts the next work in the place that became free, in this iteration of the event loop or in the next. */
  #next(): void {
    if (this.#waitingCount === 0) this.#running--;
    else if (this.#startsLeft > 0) {
      this.#startsLeft--;
      this.#startFirst();
    } else if (++this.#deferredStarts === 1) setImmediate(() => this.#beginIteration());
  }

  #beginIteration(): void {
    this.#startsLeft = startsPerIteration;
    const deferred = this.#deferredStarts;
    this.#deferredStarts = 0;
    for (let place = 0; place < deferred; place++) this.#next();
  }

  /** Starts the first work of the key that is served next. */
  #startFirst(): void {
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [key, list] = next;
    const waiter = list.shift();
    this.#waitingCount--;
    this.#waiting.delete(key);
    if (list.length > 0) this.#waiting.set(key, list);
    waiter?.start();
  }

  #retryAfter(): Temporal.Duration {
    const ms = this.#waitingCount * this.#averageMs / this.#concurrency;
    const milliseconds = Math.round(Math.min(longestRetryMs, Math.max(shortestRetryMs, ms)));
    return Temporal.Duration.from({ milliseconds });
  }
}
