import assert from "node:assert/strict";
import { CoalescingTimer } from "../../../src/shared/scheduler/coalescing_timer.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

function counted(clock: FakeClock) {
  const done = { times: 0 };
  return { done, afterwards: new CoalescingTimer(clock, 1_000, () => done.times++) };
}

Deno.test("what many ask for within the wait is done once, when the first has waited", async () => {
  const clock = new FakeClock();
  const { done, afterwards } = counted(clock);
  afterwards.schedule();
  await clock.advance({ milliseconds: 900 });
  afterwards.schedule();
  assert.equal(done.times, 0);
  await clock.advance({ milliseconds: 100 });
  assert.equal(done.times, 1);
  await clock.advance({ minutes: 1 });
  assert.equal(done.times, 1);
});

Deno.test("a stream of requests does not put it off", async () => {
  const clock = new FakeClock();
  const { done, afterwards } = counted(clock);
  for (let n = 0; n < 100; n++) {
    afterwards.schedule();
    await clock.advance({ milliseconds: 100 });
  }
  assert.equal(done.times, 10);
});

Deno.test("nothing is done after it was disposed of, and no timer is left", async () => {
  const clock = new FakeClock();
  const { done, afterwards } = counted(clock);
  afterwards.schedule();
  afterwards[Symbol.dispose]();
  assert.equal(clock.timers, 0);
  await clock.advance({ minutes: 1 });
  assert.equal(done.times, 0);
});
