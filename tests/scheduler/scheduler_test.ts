import assert from "node:assert/strict";
import { Scheduler } from "../../src/scheduler/scheduler.ts";
import { FakeClock } from "../support/fake_clock.ts";

Deno.test("jobs run in the order of their instants, not of their scheduling", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const order: string[] = [];
  for (const [key, seconds] of [["c", 3], ["a", 1], ["b", 2]] as const) {
    scheduler.schedule(key, clock.now().add({ seconds }), () => {
      order.push(`${key} at ${clock.now()}`);
      return Promise.resolve(undefined);
    });
  }
  await clock.advance({ seconds: 10 });
  assert.deepEqual(order, [
    "a at 2026-01-01T00:00:01Z",
    "b at 2026-01-01T00:00:02Z",
    "c at 2026-01-01T00:00:03Z",
  ]);
});
