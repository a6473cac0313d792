import assert from "node:assert/strict";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

Deno.test("10,000 jobs that schedule themselves for a year: none early, late, twice or lost", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const yearMs = 365 * 86_400_000;
  const runs: number[] = [];
  let wrong = 0;
  for (let index = 0; index < 10_000; index++) {
    const milliseconds = periodMs(index);
    let due = clock.now().add({ milliseconds });
    runs[index] = 0;
    scheduler.schedule(`volume-${index}`, due, () => {
      if (!due.equals(clock.now())) wrong++;
      runs[index]!++;
      due = clock.now().add({ milliseconds });
      return Promise.resolve(due);
    });
  }
  await clock.advance({ days: 365 });
  assert.equal(wrong, 0);
  assert.deepEqual(runs, runs.map((_, index) => Math.floor(yearMs / periodMs(index))));
  assert.equal(scheduler.size, 10_000);
  assert.equal(scheduler.running, 0);
});

/** As for certificates of 30 days: at 80 % of the lifetime and a spread of 4 %; many coincide. */
function periodMs(index: number): number {
  return Math.round((24 + 1.2 * (index % 997) / 997) * 86_400_000);
}
