import assert from "node:assert/strict";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock, turn } from "../../../scripts/support/fake_clock.ts";

const never = () => Promise.resolve(undefined);

Deno.test("jobs of one instant run in the order of their scheduling", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: number[] = [];
  for (let index = 0; index < 100; index++) {
    scheduler.schedule(`${index}`, clock.now(), () => (runs.push(index), never()));
  }
  await clock.advance({ seconds: 0 });
  assert.deepEqual(runs, Array.from({ length: 100 }, (_, index) => index));
});

Deno.test("a replaced job never overlaps the one it replaced, and its answer is ignored", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const gate = Promise.withResolvers<Temporal.Instant>();
  const events: string[] = [];
  scheduler.schedule("a", clock.now(), async (signal) => {
    signal.addEventListener("abort", () => events.push(`aborted: ${signal.reason.message}`));
    const next = await gate.promise;
    events.push("old ended");
    return next;
  });
  await clock.advance({ seconds: 0 });
  scheduler.schedule("a", clock.now(), () => (events.push("new ran"), never()));
  await clock.advance({ seconds: 30 });
  assert.deepEqual(events, ["aborted: the job of a was replaced"]);
  gate.resolve(clock.now().add({ seconds: 1 }));
  await clock.advance({ hours: 1 });
  assert.deepEqual(events, ["aborted: the job of a was replaced", "old ended", "new ran"]);
});

Deno.test("a job may replace itself in its own run", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  scheduler.schedule("a", clock.now(), (signal) => {
    scheduler.schedule("a", clock.now().add({ hours: 1 }), () => (runs.push("second"), never()));
    runs.push(`first, aborted: ${signal.aborted}`);
    return Promise.resolve(clock.now().add({ minutes: 1 }));
  });
  await clock.advance({ hours: 2 });
  assert.deepEqual(runs, ["first, aborted: true", "second"]);
});

Deno.test("a failing job is tried again with growing waits, and a success resets them", async () => {
  const clock = new FakeClock();
  const reported: string[] = [];
  await using scheduler = new Scheduler({
    clock,
    random: () => 1,
    onError: (key, error, next) => {
      reported.push(
        `${key}: ${(error as Error).message} ${next.since(clock.now()).total("seconds")}`,
      );
    },
  });
  let runs = 0;
  scheduler.schedule("a", clock.now(), () => {
    runs++;
    if (runs === 12) return Promise.resolve(clock.now().add({ hours: 1 }));
    if (runs % 2) throw new Error("thrown");
    return Promise.reject(new Error("rejected"));
  });
  await clock.advance({ hours: 2 });
  const waits = reported.map((line) => Number(line.split(" ").at(-1)));
  assert.deepEqual(waits.slice(0, 14), [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 1, 2, 4]);
  assert.equal(reported[0], "a: thrown 1");
  assert.equal(reported[1], "a: rejected 2");
});

Deno.test("what a replaced or cancelled run throws is not reported", async () => {
  const clock = new FakeClock();
  const reported: unknown[] = [];
  await using scheduler = new Scheduler({ clock, onError: (_key, error) => reported.push(error) });
  const untilAborted = (signal: AbortSignal) =>
    new Promise<undefined>((_, reject) =>
      signal.addEventListener("abort", () => reject(signal.reason))
    );
  scheduler.schedule("a", clock.now(), untilAborted);
  scheduler.schedule("b", clock.now(), untilAborted);
  await clock.advance({ seconds: 0 });
  scheduler.schedule("a", clock.now().add({ hours: 1 }), never);
  await scheduler.cancel("b");
  await clock.advance({ minutes: 1 });
  assert.deepEqual(reported, []);
  assert.equal(scheduler.running, 0);
  assert.equal(scheduler.size, 1);
});

Deno.test("jobs continue when the error callback throws or cancels the key", async () => {
  const clock = new FakeClock();
  let failures = 0;
  await using scheduler: Scheduler = new Scheduler({
    clock,
    random: () => 1,
    onError: (key) => {
      failures++;
      if (failures === 3) void scheduler.cancel(key);
      throw new Error("the log is full");
    },
  });
  scheduler.schedule("a", clock.now(), () => Promise.reject(new Error("no")));
  await clock.advance({ minutes: 1 });
  assert.equal(failures, 3);
  assert.equal(scheduler.size, 0);
});

Deno.test("10,000 jobs due at once all run, and none waits for another to end", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const gate = Promise.withResolvers<undefined>();
  let runs = 0;
  const at = clock.now().add({ seconds: 1 });
  for (let index = 0; index < 10_000; index++) {
    scheduler.schedule(`${index}`, at, () => (runs++, gate.promise));
  }
  await clock.advance({ seconds: 1 });
  assert.equal(runs, 10_000);
  assert.equal(scheduler.running, 10_000);
  gate.resolve(undefined);
});

Deno.test("the event loop handles other events while many jobs are due", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  let starts = 0;
  let mostInTurn = 0;
  for (let index = 0; index < 1_000; index++) {
    scheduler.schedule(`${index}`, clock.now(), () => (starts++, never()));
  }
  const advanced = clock.advance({ seconds: 0 });
  for (let before = 0; starts < 1_000; before = starts) {
    await turn();
    mostInTurn = Math.max(mostInTurn, starts - before);
  }
  await advanced;
  assert.equal(mostInTurn, 32);
});

Deno.test("an instant beyond 2^31 milliseconds is reached by way of sleeps of a minute", async () => {
  const clock = new FakeClock();
  let longestMs = 0;
  const after = clock.after.bind(clock);
  clock.after = (ms, callback) => (longestMs = Math.max(longestMs, ms), after(ms, callback));
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  scheduler.schedule("a", clock.now().add({ hours: 24 * 30 }), () => {
    runs.push(`${clock.now()}`);
    return never();
  });
  await clock.advance({ days: 31 });
  assert.deepEqual(runs, ["2026-01-31T00:00:00Z"]);
  assert.equal(longestMs, 60_000);
});

Deno.test("a job ten years away waits for the last minute and does not oversleep it", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  const at = Temporal.Instant.from("2036-01-01T00:00:00Z");
  scheduler.schedule("a", at, () => (runs.push(`${clock.now()}`), never()));
  await clock.advance({ days: 7 });
  clock.set(at.subtract({ seconds: 90 }));
  await clock.advance({ seconds: 89 });
  assert.deepEqual(runs, []);
  await clock.advance({ seconds: 1 });
  assert.deepEqual(runs, ["2036-01-01T00:00:00Z"]);
});
