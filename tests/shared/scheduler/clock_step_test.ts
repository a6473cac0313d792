import assert from "node:assert/strict";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const start = Temporal.Instant.from("2026-06-01T00:00:00Z");
const year = { hours: 24 * 365 };

function recording(clock: FakeClock) {
  const runs: string[] = [];
  const job = (name: string) => () => {
    runs.push(`${name} at ${clock.now()}`);
    return Promise.resolve(undefined);
  };
  return { runs, job };
}

Deno.test("a wall clock set back by a year and forth again lets jobs run when they are due", async () => {
  const clock = new FakeClock(start);
  await using scheduler = new Scheduler({ clock });
  const { runs, job } = recording(clock);
  scheduler.schedule("a", start.add({ minutes: 10 }), job("a"));
  await clock.advance({ minutes: 5 });
  clock.set(clock.now().subtract(year));
  await clock.advance({ hours: 2 });
  assert.deepEqual(runs, []);
  clock.set(start.add({ minutes: 8 }));
  await clock.advance({ minutes: 3 });
  assert.deepEqual(runs, ["a at 2026-06-01T00:10:00Z"]);
});

Deno.test("a job scheduled while the wall clock is a year back is not late", async () => {
  const clock = new FakeClock(start);
  await using scheduler = new Scheduler({ clock });
  const { runs, job } = recording(clock);
  scheduler.schedule("far", start.add({ hours: 1 }), job("far"));
  clock.set(start.subtract(year));
  scheduler.schedule("near", clock.now().add({ seconds: 7 }), job("near"));
  await clock.advance({ minutes: 1 });
  assert.deepEqual(runs, ["near at 2025-06-01T00:00:07Z"]);
});

Deno.test("after a step forward, or a suspend, an overdue job runs within a minute", async () => {
  const clock = new FakeClock(start);
  await using scheduler = new Scheduler({ clock });
  const { runs, job } = recording(clock);
  scheduler.schedule("a", start.add({ hours: 24 * 80 }), job("a"));
  await clock.advance({ seconds: 10 });
  clock.set(start.add(year));
  await clock.advance({ seconds: 49 });
  assert.deepEqual(runs, []);
  await clock.advance({ seconds: 1 });
  assert.deepEqual(runs, ["a at 2027-06-01T00:00:50Z"]);
});

Deno.test("a job scheduled right after a step forward is not late", async () => {
  const clock = new FakeClock(start);
  await using scheduler = new Scheduler({ clock });
  const { runs, job } = recording(clock);
  scheduler.schedule("far", start.add({ hours: 24 * 3650 }), job("far"));
  clock.set(start.add(year));
  scheduler.schedule("near", clock.now().add({ seconds: 7 }), job("near"));
  await clock.advance({ minutes: 2 });
  assert.deepEqual(runs, ["near at 2027-06-01T00:00:07Z"]);
});

Deno.test("calls that keep coming do not put off a job that is due", async () => {
  const clock = new FakeClock(start);
  let timers = 0;
  const after = clock.after.bind(clock);
  clock.after = (ms, callback) => (timers++, after(ms, callback));
  await using scheduler = new Scheduler({ clock });
  const { runs, job } = recording(clock);
  scheduler.schedule("due", start, job("due"));
  for (let index = 0; index < 100; index++) {
    scheduler.schedule("other", start.subtract({ seconds: index }), job("other"));
    clock.set(start.add({ milliseconds: index }));
  }
  assert.equal(timers, 1, "the timer was never set back");
  await clock.advance({ seconds: 0 });
  assert.equal(runs.length, 2);
});
