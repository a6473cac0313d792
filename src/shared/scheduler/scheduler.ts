/**
 * This folder is about time and waiting: the clock, jobs that run at an instant, the delay before a
 * retry, bounded concurrency, fair queues, yielding to the event loop, and abort signals. Its main
 * types are `Clock`, `Scheduler`, `Semaphore` and `FairQueue`. It never knows what a job does, and
 * only `system_clock.ts` reads the system's clock.
 */

import { AsyncLocalStorage } from "node:async_hooks";
import { fullJitterDelay } from "./backoff.ts";
import type { Clock } from "./clock.ts";
import { PriorityQueue } from "./priority_queue.ts";
import { type Job, ScheduledJob } from "./scheduled_job.ts";
import { WallClockTimer } from "./wall_clock_timer.ts";

/** What a Scheduler is made of. */
export interface SchedulerOptions {
  readonly clock: Clock;
  /** Receives each run that threw and when it is tried again; an error that it throws is ignored. */
  readonly onError?: (key: string, error: unknown, next: Temporal.Instant) => void;
  /** From 0 to 1; draws the wait after a failure. */
  readonly random?: () => number;
}

const retry = { baseMs: 1_000, maxMs: 300_000 };
/** How many jobs may begin in one iteration of the event loop. */
const startsPerIteration = 32;

interface Run {
  readonly entry: ScheduledJob;
  readonly controller: AbortController;
  readonly ended: PromiseWithResolvers<void>;
}

/**
 * Runs jobs by key when its clock reaches their instant: one run of a key at a time, those of
 * all keys at once, nothing kept over a restart. A job that uses what is limited waits for that itself.
 */
export class Scheduler implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #onError: NonNullable<SchedulerOptions["onError"]>;
  readonly #random: () => number;
  readonly #entries = new Map<string, ScheduledJob>();
  readonly #runs = new Map<string, Run>();
  /** The entries that wait, by the millisecond at which they are due: all but those whose key runs. */
  readonly #waiting = new PriorityQueue<ScheduledJob>();
  /** The run that the present code is part of, if any. */
  readonly #currentRun = new AsyncLocalStorage<Run>();
  readonly #alarm: WallClockTimer;
  #disposed = false;

  constructor(options: SchedulerOptions) {
    const { clock, onError = () => {}, random = Math.random } = options;
    this.#clock = clock;
    this.#alarm = new WallClockTimer(clock, () => this.#wake());
    this.#onError = onError;
    this.#random = random;
  }

  /** The present instant of the clock by which the jobs run. */
  now(): Temporal.Instant {
    return this.#clock.now();
  }

  /** How many keys have a job, those included whose run is in progress. */
  get size(): number {
    return this.#entries.size;
  }

  /** How many runs are in progress. */
  get running(): number {
    return this.#runs.size;
  }

  /** The instant of the key's next run, or of the one in progress; undefined when there is none. */
  nextRun(key: string): Temporal.Instant | undefined {
    return this.#entries.get(key)?.at;
  }

  /**
   * Runs the job at `at`, or as soon as possible after it, in place of any other job of the key.
   * A run of the replaced job is aborted, its result ignored, and the new job starts only after it
   * ended. Never runs a job within the call. Once disposed, the scheduler takes no more jobs.
   */
  schedule(key: string, at: Temporal.Instant, job: Job): void {
    if (this.#disposed) return;
    const entry = new ScheduledJob(key, at, job);
    this.#remove(key);
    this.#entries.set(key, entry);
    const run = this.#runs.get(key);
    if (run !== undefined) return this.#abort(run, "replaced");
    this.#waiting.add(entry);
    this.#arm();
  }

  /**
   * Removes the key's job and aborts its run; resolves when that run has ended. Throws, and cancels
   * nothing, within the key's own run, which would wait for its own end: return undefined there.
   */
  cancel(key: string): Promise<void> {
    const run = this.#runs.get(key);
    if (run !== undefined && this.#currentRun.getStore() === run) {
      throw waitsForItself("cancel", run);
    }
    this.#remove(key);
    this.#arm();
    if (run === undefined) return Promise.resolve();
    this.#abort(run, "cancelled");
    return run.ended.promise;
  }

  /**
   * Removes all jobs, aborts all runs and resolves when the last has ended; nothing runs after
   * that. Rejects, and stops nothing, within a run.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    const currentRun = this.#currentRun.getStore();
    if (currentRun !== undefined && this.#runs.get(currentRun.entry.key) === currentRun) {
      throw waitsForItself("disposal", currentRun);
    }
    this.#disposed = true;
    this.#entries.clear();
    this.#waiting.clear();
    this.#arm();
    const runs = [...this.#runs.values()];
    for (const run of runs) this.#abort(run, "cancelled");
    await Promise.all(runs.map((run) => run.ended.promise));
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#waiting.delete(entry);
  }

  #abort({ entry, controller }: Run, verb: string): void {
    controller.abort(new DOMException(`the job of ${entry.key} was ${verb}`, "AbortError"));
  }

  #arm(): void {
    this.#alarm.set(this.#waiting.peek()?.dueMs);
  }

  #wake(): void {
    const nowMs = this.#clock.now().epochMilliseconds;
    for (let starts = 0; starts < startsPerIteration; starts++) {
      const first = this.#waiting.peek();
      if (first === undefined || first.dueMs > nowMs) break;
      this.#waiting.delete(first);
      this.#start(first);
    }
    this.#arm();
  }

  #start(entry: ScheduledJob): void {
    const controller = new AbortController();
    const run = { entry, controller, ended: Promise.withResolvers<void>() };
    this.#runs.set(entry.key, run);
    void this.#currentRun.run(run, () => this.#execute(run));
  }

  async #execute(run: Run): Promise<void> {
    const { entry } = run;
    try {
      const next = await entry.job(run.controller.signal);
      entry.failures = 0;
      if (this.#isCurrent(run)) {
        if (next === undefined) this.#entries.delete(entry.key);
        else entry.at = next;
      }
      this.#end(run);
    } catch (error) {
      const isCurrent = this.#isCurrent(run);
      if (isCurrent) this.#backOff(entry);
      this.#end(run);
      // What a cancelled or replaced run throws is most often its abort: no caller waits for it.
      if (isCurrent) this.#reportError(entry.key, error, entry.at);
    }
  }

  /** Whether the run's result is used: its job was neither replaced nor cancelled meanwhile. */
  #isCurrent(run: Run): boolean {
    return this.#entries.get(run.entry.key) === run.entry;
  }

  #backOff(entry: ScheduledJob): void {
    entry.failures += 1;
    const delayMs = Math.ceil(fullJitterDelay(entry.failures, retry, this.#random));
    entry.at = this.#clock.now().add({ milliseconds: delayMs });
  }

  #reportError(key: string, error: unknown, next: Temporal.Instant): void {
    try {
      this.#onError(key, error, next);
    } catch {
      // Jobs continue whether or not their failures can be reported.
    }
  }

  #end({ entry: { key }, ended }: Run): void {
    this.#runs.delete(key);
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#waiting.add(entry);
    ended.resolve();
    this.#arm();
  }
}

function waitsForItself(call: string, { entry: { key } }: Run): Error {
  return new Error(
    `${call} was called within the run of ${key}, which would wait for its own end; ` +
      "return undefined from the job instead",
  );
}
