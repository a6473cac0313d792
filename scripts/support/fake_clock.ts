import type { BootClock, Moment } from "../../src/shared/scheduler/clock.ts";
import { PriorityQueue, QueueItem } from "../../src/shared/scheduler/priority_queue.ts";

/** More timers than any test has at one instant: one that sets itself again without a wait. */
const mostAtOnce = 1_000_000;

/** A callback, by the milliseconds since the start at which it is due. */
class FakeTimer extends QueueItem {
  readonly callback: () => void;

  constructor(dueMs: number, callback: () => void) {
    super(dueMs);
    this.callback = callback;
  }
}

/** A clock that stands still until a test moves it. */
export class FakeClock implements BootClock {
  #now: Temporal.Instant;
  /** Milliseconds since the start that steps of the wall clock do not change. */
  #elapsedMs = 0;
  readonly #timers = new PriorityQueue<FakeTimer>();
  /** The machine's present boot; a test changes it to reboot the machine. */
  bootId = "boot-1";

  constructor(start: Temporal.Instant = Temporal.Instant.from("2026-01-01T00:00:00Z")) {
    this.#now = start;
  }

  /** How many callbacks wait. */
  get timers(): number {
    return this.#timers.size;
  }

  now(): Temporal.Instant {
    return this.#now;
  }

  moment(): Moment {
    return { wall: this.#now, bootMs: this.#elapsedMs, bootId: this.bootId };
  }

  after(ms: number, callback: () => void): Disposable {
    const timer = new FakeTimer(this.#elapsedMs + Math.max(0, ms), callback);
    this.#timers.add(timer);
    return { [Symbol.dispose]: () => void this.#timers.delete(timer) };
  }

  /** Steps the wall clock: a timer fires after the same time as without the step. */
  set(instant: Temporal.Instant): void {
    this.#now = instant;
  }

  /** The machine sleeps: both clocks continue, and no timer fires until the next `advance`. */
  sleep(duration: Temporal.DurationLike): void {
    this.#pass(this.#elapsedMs + millisecondsOf(duration));
  }

  /**
   * Lets the time pass: fires timers at their instant and in their order, and lets all promises
   * settle before the first, after each, and after the last.
   */
  async advance(duration: Temporal.DurationLike): Promise<void> {
    const endMs = this.#elapsedMs + millisecondsOf(duration);
    await turn();
    for (let atOnce = 0;; atOnce++) {
      const next = this.#timers.peek();
      if (next === undefined || next.priority > endMs) break;
      if (next.priority > this.#elapsedMs) atOnce = 0;
      if (atOnce > mostAtOnce) throw new Error(`timers at ${this.#now} set each other for ever`);
      this.#timers.delete(next);
      this.#pass(next.priority);
      next.callback();
      await turn();
    }
    this.#pass(endMs);
  }

  /**
   * Resolves when the condition holds, firing what is due and letting I/O happen meanwhile, while
   * the time stands still. Rejects when it still does not hold after many turns of the event loop.
   */
  async until(condition: () => boolean, turns = 100_000): Promise<void> {
    for (let taken = 0; !condition(); taken++) {
      if (taken >= turns) {
        throw new Error(`the condition does not hold after ${turns} turns: ${condition}`);
      }
      await this.advance({ milliseconds: 0 });
    }
  }

  #pass(untilMs: number): void {
    const ms = untilMs - this.#elapsedMs;
    if (ms <= 0) return;
    this.#elapsedMs = untilMs;
    const nanoseconds = this.#now.epochNanoseconds + BigInt(Math.round(ms * 1e6));
    this.#now = new Temporal.Instant(nanoseconds);
  }
}

/** Years and months of a duration count as from here. */
const utc = Temporal.ZonedDateTime.from("2026-01-01T00:00:00Z[UTC]");

function millisecondsOf(duration: Temporal.DurationLike): number {
  return Temporal.Duration.from(duration).total({ unit: "milliseconds", relativeTo: utc });
}

/** One turn of the event loop: every promise that can settle without I/O has, when it resolves. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
