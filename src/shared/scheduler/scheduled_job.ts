import { QueueItem } from "./priority_queue.ts";

const nanosecondsOfMs = 1_000_000n;

/**
 * The latest job of a key; replaced as a whole, so that its identity shows whether a run is stale.
 *
 * Its instant is kept as numbers: a Temporal.Instant that lives on costs the garbage collector more
 * than all else of an entry together.
 */
export class ScheduledJob extends QueueItem {
  readonly key: string;
  readonly job: Job;
  /** Runs that threw since the last one that did not. */
  failures = 0;
  /** How long before `dueMs` the instant is. */
  #earlyNs = 0;

  constructor(key: string, at: Temporal.Instant, job: Job) {
    super(0);
    this.key = key;
    this.job = job;
    this.at = at;
  }

  get at(): Temporal.Instant {
    return new Temporal.Instant(BigInt(this.dueMs) * nanosecondsOfMs - BigInt(this.#earlyNs));
  }

  /** Only of an entry that no heap holds. */
  set at(at: Temporal.Instant) {
    const pastNs = Number(at.epochNanoseconds % nanosecondsOfMs);
    // Before 1970 the remainder is negative, and the whole millisecond towards zero the later one.
    this.#earlyNs = pastNs > 0 ? Number(nanosecondsOfMs) - pastNs : 0 - pastNs;
    this.priority = at.epochMilliseconds + (pastNs === 0 ? 0 : 1);
  }

  /** `at` in whole milliseconds since the epoch, rounded up so that no job runs early. */
  get dueMs(): number {
    return this.priority;
  }
}
/** Answers with the instant of the next run, or undefined for never. A throw is a failure, retried with backoff. */
export type Job = (signal: AbortSignal) => Promise<Temporal.Instant | undefined>;
