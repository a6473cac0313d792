import assert from "node:assert/strict";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock, turn } from "../../../scripts/support/fake_clock.ts";

const never = () => Promise.resolve(undefined);

Deno.test("cancel aborts the run and every caller waits until it has ended", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const gate = Promise.withResolvers<Temporal.Instant>();
  const events: string[] = [];
  scheduler.schedule("a", clock.now(), async (signal) => {
    signal.addEventListener("abort", () => events.push(signal.reason.name));
    const next = await gate.promise;
    events.push("ended");
    return next;
  });
  await clock.advance({ seconds: 0 });
  const cancels = ["first", "second", "third"].map((name) =>
    scheduler.cancel("a").then(() => events.push(name))
  );
  await clock.advance({ minutes: 5 });
  assert.deepEqual(events, ["AbortError"]);
  assert.equal(scheduler.size, 0);
  assert.equal(scheduler.running, 1);
  gate.resolve(clock.now());
  await Promise.all(cancels);
  assert.deepEqual(events, ["AbortError", "ended", "first", "second", "third"]);
  assert.equal(scheduler.running, 0);
  await clock.advance({ hours: 1 });
  assert.equal(events.length, 5, "the cancelled run's answer is ignored");
});

Deno.test("a listener of the abort may schedule the key again", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  const runs: string[] = [];
  scheduler.schedule(
    "a",
    clock.now(),
    (signal) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          scheduler.schedule("a", clock.now(), () => (runs.push("again"), never()));
          resolve(undefined);
        })
      ),
  );
  await clock.advance({ seconds: 0 });
  await scheduler.cancel("a");
  await clock.advance({ seconds: 0 });
  assert.deepEqual(runs, ["again"]);
});

Deno.test("a job that cancels its own key fails with the reason instead of waiting for ever", async () => {
  const clock = new FakeClock();
  const reported: string[] = [];
  await using scheduler: Scheduler = new Scheduler({
    clock,
    onError: (_key, error) => reported.push((error as Error).message),
  });
  let runs = 0;
  scheduler.schedule("volume-1", clock.now(), async () => {
    await turn();
    if (++runs === 1) await scheduler.cancel("volume-1");
    return undefined;
  });
  await clock.until(() => reported.length > 0);
  assert.equal(
    reported[0],
    "cancel was called within the run of volume-1, which would wait for its own end; " +
      "return undefined from the job instead",
  );
  await clock.advance({ minutes: 1 });
  assert.equal(runs, 2, "the refused cancel cancelled nothing");
});

Deno.test("a job may cancel other keys, also those that run", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({
    clock,
    onError: (_key, error) => assert.fail(`${error}`),
  });
  const events: string[] = [];
  scheduler.schedule(
    "a",
    clock.now(),
    (signal) =>
      new Promise((resolve) =>
        signal.addEventListener("abort", () => {
          events.push("a aborted");
          resolve(undefined);
        })
      ),
  );
  scheduler.schedule("b", clock.now(), async () => {
    await scheduler.cancel("a");
    events.push("b continues");
    return undefined;
  });
  await clock.advance({ seconds: 0 });
  assert.deepEqual(events, ["a aborted", "b continues"]);
});

Deno.test("code that a finished run started may cancel its key", async () => {
  const clock = new FakeClock();
  await using scheduler = new Scheduler({ clock });
  let later: Promise<void> | undefined;
  const gate = Promise.withResolvers<void>();
  scheduler.schedule("a", clock.now(), () => {
    later = gate.promise.then(() => scheduler.cancel("a"));
    return Promise.resolve(clock.now().add({ seconds: 1 }));
  });
  await clock.advance({ seconds: 0 });
  gate.resolve();
  await later;
  assert.equal(scheduler.size, 0);
});

Deno.test("disposal aborts all runs, waits for them, and nothing runs after it", async () => {
  const clock = new FakeClock();
  const scheduler = new Scheduler({
    clock,
    onError: () => assert.fail("reported"),
  });
  const gates = [Promise.withResolvers<undefined>(), Promise.withResolvers<undefined>()];
  const signals: AbortSignal[] = [];
  gates.forEach((gate, index) => {
    scheduler.schedule(`running ${index}`, clock.now(), (signal) => {
      signals.push(signal);
      return gate.promise;
    });
  });
  scheduler.schedule("waiting", clock.now().add({ hours: 1 }), () => assert.fail("ran"));
  await clock.advance({ seconds: 0 });
  let disposed = 0;
  const disposals = [1, 2].map(async () => {
    await scheduler[Symbol.asyncDispose]();
    disposed++;
  });
  assert.deepEqual(signals.map((signal) => signal.aborted), [true, true]);
  scheduler.schedule("late", clock.now(), () => assert.fail("ran"));
  gates[0]?.resolve(undefined);
  await clock.advance({ hours: 2 });
  assert.equal(disposed, 0);
  gates[1]?.reject(new Error("aborted"));
  await Promise.all(disposals);
  assert.equal(scheduler.size, 0);
  assert.equal(clock.timers, 0);
  await clock.advance({ hours: 24 });
  await scheduler[Symbol.asyncDispose]();
});

Deno.test("a job that disposes the scheduler fails with the reason, and the scheduler continues", async () => {
  const clock = new FakeClock();
  const reported: string[] = [];
  await using scheduler: Scheduler = new Scheduler({
    clock,
    onError: (_key, error) => reported.push((error as Error).message),
  });
  scheduler.schedule("a", clock.now(), async () => {
    if (reported.length === 0) await scheduler[Symbol.asyncDispose]();
    return undefined;
  });
  await clock.advance({ minutes: 1 });
  assert.match(reported.join(), /^disposal was called within the run of a,/);
  assert.equal(scheduler.size, 0, "the second run ended the job");
});
