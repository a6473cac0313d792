import assert from "node:assert/strict";
import { CoalescingTimer } from "../../../src/shared/scheduler/coalescing_timer.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

function counted(clock: FakeClock) {
  const done = { times: 0 };
  return { done, timer: new CoalescingTimer(clock, 1_000, () => done.times++) };
}

Deno.test("calls within the delay run the action once, when the delay of the first has passed", async () => {
  const clock = new FakeClock();
  const { done, timer } = counted(clock);
  timer.schedule();
  await clock.advance({ milliseconds: 900 });
  timer.schedule();
  assert.equal(done.times, 0);
  await clock.advance({ milliseconds: 100 });
  assert.equal(done.times, 1);
  await clock.advance({ minutes: 1 });
  assert.equal(done.times, 1);
});

Deno.test("a steady stream of calls does not delay the action", async () => {
  const clock = new FakeClock();
  const { done, timer } = counted(clock);
  for (let n = 0; n < 100; n++) {
    timer.schedule();
    await clock.advance({ milliseconds: 100 });
  }
  assert.equal(done.times, 10);
});

Deno.test("a disposed timer runs nothing, and no timer remains", async () => {
  const clock = new FakeClock();
  const { done, timer } = counted(clock);
  timer.schedule();
  timer[Symbol.dispose]();
  assert.equal(clock.timers, 0);
  await clock.advance({ minutes: 1 });
  assert.equal(done.times, 0);
});
