import type { FakeClock } from "../../scripts/support/fake_clock.ts";
import type { Clock } from "../../src/shared/scheduler/clock.ts";
import type { Scheduler } from "../../src/shared/scheduler/scheduler.ts";

/** How far the clocks of three replicas are from the true time, in seconds: no two differ by five minutes. */
export const clockOffsets = [-140, 0, 140] as const;

/** A replica's clock, which differs from the true time by an offset that a test can change. */
export class ReplicaClock implements Clock {
  readonly #time: FakeClock;
  offsetSeconds: number;

  constructor(time: FakeClock, offsetSeconds: number) {
    this.#time = time;
    this.offsetSeconds = offsetSeconds;
  }

  now(): Temporal.Instant {
    return this.#time.now().add({ seconds: this.offsetSeconds });
  }

  after(ms: number, callback: () => void): Disposable {
    return this.#time.after(ms, callback);
  }
}

/** Resolves when no scheduler has anything to do at this instant. */
export async function untilIdle(
  time: FakeClock,
  schedulers: () => readonly Pick<Scheduler, "running">[],
): Promise<void> {
  let idleTurns = 0;
  await time.until(() => {
    const isIdle = schedulers().every(({ running }) => running === 0);
    idleTurns = isIdle ? idleTurns + 1 : 0;
    return idleTurns > 5;
  });
}
