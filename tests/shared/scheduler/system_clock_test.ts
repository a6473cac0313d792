import assert from "node:assert/strict";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { systemClock } from "../../../src/shared/scheduler/system_clock.ts";

Deno.test("the system clock calls back after the wait, not within the call", async () => {
  for (const ms of [-1, 0, 1]) {
    let within = true;
    await new Promise<void>((resolve) => {
      systemClock.after(ms, () => {
        assert.equal(within, false);
        resolve();
      });
      within = false;
    });
  }
});

Deno.test("a disposed wait never calls back, and one beyond 2^31 milliseconds not at once", async () => {
  systemClock.after(0, () => assert.fail("disposed"))[Symbol.dispose]();
  systemClock.after(1, () => assert.fail("disposed"))[Symbol.dispose]();
  using _far = systemClock.after(2 ** 31, () => assert.fail("at once"));
  await new Promise<void>((resolve) => systemClock.after(5, resolve));
});

Deno.test("a scheduler on the system clock runs what is due and what becomes due", async () => {
  await using scheduler = new Scheduler({ clock: systemClock });
  const start = systemClock.now();
  const done = Promise.withResolvers<Temporal.Instant>();
  let runs = 0;
  scheduler.schedule("a", start, () => {
    const now = systemClock.now();
    if (++runs === 1) return Promise.resolve(start.add({ milliseconds: 3 }));
    done.resolve(now);
    return Promise.resolve(undefined);
  });
  const end = await done.promise;
  assert.ok(Temporal.Instant.compare(end, start.add({ milliseconds: 3 })) >= 0, "none runs early");
});
