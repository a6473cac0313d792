import assert from "node:assert/strict";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock, turn } from "../../../scripts/support/fake_clock.ts";

const never = () => Promise.resolve(undefined);

Deno.test("jobs run in the order of their instants, not of their scheduling", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  for (const [key, seconds] of [["c", 3], ["a", 1], ["b", 2]] as const) {
    scheduler.schedule(key, clock.now().add({ seconds }), () => {
      runs.push(`${key} at ${clock.now()}`);
      return never();
    });
  }
  await clock.advance({ seconds: 10 });
  assert.deepEqual(runs, [
    "a at 2026-01-01T00:00:01Z",
    "b at 2026-01-01T00:00:02Z",
    "c at 2026-01-01T00:00:03Z",
  ]);
  assert.equal(scheduler.size, 0);
  assert.equal(clock.timers, 0, "nothing is left to wake up for");
});

Deno.test("jobs of one instant run in the order of their scheduling", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock, concurrency: 1 });
  const runs: number[] = [];
  for (let index = 0; index < 100; index++) {
    scheduler.schedule(`${index}`, clock.now(), () => (runs.push(index), never()));
  }
  await clock.advance({ seconds: 0 });
  assert.deepEqual(runs, Array.from({ length: 100 }, (_, index) => index));
});

Deno.test("a job that is due never runs within the call that schedules it", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  let ran = false;
  scheduler.schedule("a", clock.now().subtract({ hours: 1 }), () => (ran = true, never()));
  assert.equal(ran, false);
  await clock.advance({ seconds: 0 });
  assert.equal(ran, true);
});

Deno.test("a job never runs a fraction of a millisecond early", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const at = clock.now().add({ seconds: 1, nanoseconds: 1 });
  let ranAt: Temporal.Instant | undefined;
  scheduler.schedule("a", at, () => (ranAt = clock.now(), never()));
  await clock.advance({ seconds: 2 });
  assert.equal(`${ranAt}`, "2026-01-01T00:00:01.001Z");
});

Deno.test("a job runs again at the instant it answers, until it answers undefined", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  scheduler.schedule("a", clock.now().add({ hours: 1 }), () => {
    runs.push(`${clock.now()}`);
    return Promise.resolve(runs.length < 3 ? clock.now().add({ hours: 24 }) : undefined);
  });
  assert.equal(`${scheduler.nextRun("a")}`, "2026-01-01T01:00:00Z");
  await clock.advance({ hours: 2 });
  assert.equal(`${scheduler.nextRun("a")}`, "2026-01-02T01:00:00Z");
  await clock.advance({ days: 30 });
  assert.deepEqual(runs, [
    "2026-01-01T01:00:00Z",
    "2026-01-02T01:00:00Z",
    "2026-01-03T01:00:00Z",
  ]);
  assert.equal(scheduler.nextRun("a"), undefined);
  assert.equal(scheduler.size, 0);
});

Deno.test("a key whose run is in progress still has a next run and counts", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const gate = Promise.withResolvers<undefined>();
  const at = clock.now();
  scheduler.schedule("a", at, () => gate.promise);
  await clock.advance({ minutes: 5 });
  assert.equal(scheduler.running, 1);
  assert.equal(scheduler.size, 1);
  assert.ok(scheduler.nextRun("a")?.equals(at));
  gate.resolve(undefined);
  await turn();
  assert.equal(scheduler.running, 0);
  assert.equal(scheduler.size, 0);
});

Deno.test("a job that is replaced before it is due never runs", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  const job = (name: string) => () => (runs.push(`${name} at ${clock.now()}`), never());
  scheduler.schedule("a", clock.now().add({ seconds: 5 }), job("old"));
  scheduler.schedule("a", clock.now().add({ seconds: 9 }), job("later"));
  await clock.advance({ seconds: 7 });
  scheduler.schedule("a", clock.now().add({ seconds: 1 }), job("sooner"));
  await clock.advance({ seconds: 60 });
  assert.deepEqual(runs, ["sooner at 2026-01-01T00:00:08Z"]);
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

Deno.test("of many replacements during one run only the last one runs", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const gate = Promise.withResolvers<undefined>();
  const runs: number[] = [];
  scheduler.schedule("a", clock.now(), () => gate.promise);
  await clock.advance({ seconds: 0 });
  for (let index = 0; index < 10; index++) {
    scheduler.schedule("a", clock.now().add({ seconds: 10 - index }), () => {
      runs.push(index);
      return never();
    });
  }
  gate.resolve(undefined);
  await clock.advance({ hours: 1 });
  assert.deepEqual(runs, [9]);
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

Deno.test("a new job for a key starts without the failures of the old one", async () => {
  const clock = new FakeClock();
  const waits: number[] = [];
  await using scheduler = new Scheduler({
    clock,
    random: () => 1,
    onError: (_key, _error, next) => waits.push(next.since(clock.now()).total("seconds")),
  });
  const job = () => Promise.reject(new Error("no"));
  scheduler.schedule("a", clock.now(), job);
  await clock.advance({ seconds: 2 });
  scheduler.schedule("a", clock.now(), job);
  await clock.advance({ seconds: 0 });
  assert.deepEqual(waits, [1, 2, 1]);
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

Deno.test("10,000 jobs due at once all run, and never more than 32 together", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  let most = 0;
  let together = 0;
  let runs = 0;
  const job = async () => {
    most = Math.max(most, ++together);
    runs++;
    await Promise.resolve();
    together--;
    return undefined;
  };
  const at = clock.now().add({ seconds: 1 });
  for (let index = 0; index < 10_000; index++) scheduler.schedule(`${index}`, at, job);
  await clock.advance({ seconds: 1 });
  assert.equal(runs, 10_000);
  assert.equal(most, 32);
});

Deno.test("the event loop has its turn while many jobs are due", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock, concurrency: 10_000 });
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

Deno.test("a concurrency that is no whole number from 1 is refused", () => {
  const clock = new FakeClock();
  for (const concurrency of [0, -1, 1.5, NaN, Infinity]) {
    assert.throws(() => new Scheduler({ clock, concurrency }), /must be a whole number from 1/);
  }
});
