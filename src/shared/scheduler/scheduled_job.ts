import { QueueItem } from "./priority_queue.ts";

/** The latest job of a key; replaced as a whole, so that its identity shows whether a run is stale. */
export class ScheduledJob extends QueueItem {
  readonly key: string;
  readonly job: Job;
  /** Runs that threw since the last one that did not. */
  failures = 0;
  #at: Temporal.Instant;

  constructor(key: string, at: Temporal.Instant, job: Job) {
    super(dueMs(at));
    this.key = key;
    this.job = job;
    this.#at = at;
  }

  get at(): Temporal.Instant {
    return this.#at;
  }

  /** Set only while no queue contains the job. */
  set at(at: Temporal.Instant) {
    this.#at = at;
    this.priority = dueMs(at);
  }

  /** `at` in whole milliseconds since the epoch, rounded up so that no job runs early. */
  get dueMs(): number {
    return this.priority;
  }
}

/** Returns the instant of the next run, or undefined for never. A throw is a failure, retried with backoff. */
export type Job = (signal: AbortSignal) => Promise<Temporal.Instant | undefined>;

function dueMs(at: Temporal.Instant): number {
  return at.epochMilliseconds + (at.epochNanoseconds % 1_000_000n === 0n ? 0 : 1);
}
