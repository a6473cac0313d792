import assert from "node:assert/strict";
import fc from "fast-check";
import type { Clock } from "../../../src/shared/scheduler/clock.ts";
import type { Job } from "../../../src/shared/scheduler/scheduled_job.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { type Event, NaiveScheduler, type Plan } from "./naive_scheduler.ts";

const keys = ["a", "b", "c"];
const key = fc.constantFrom(...keys);
const shortMs = fc.integer({ min: 0, max: 5_000 });
const longMs = fc.integer({ min: -5_000, max: 150_000 });

/** Half of them soon, so that many calls meet a run in progress. */
const inMs = fc.oneof(fc.integer({ min: -1_000, max: 1_000 }), longMs);

const plan = fc.record({
  id: fc.nat(),
  durationMs: fc.oneof(fc.constant(0), shortMs, shortMs),
  obedient: fc.boolean(),
  endings: fc.oneof(
    fc.constant([]),
    fc.array(fc.oneof(fc.constant("throw" as const), longMs), { maxLength: 12 }),
  ),
});
const schedule = fc.record({ kind: fc.constant("schedule" as const), key, inMs, plan });
const cancel = fc.record({ kind: fc.constant("cancel" as const), key });
const advance = fc.record({
  kind: fc.constant("advance" as const),
  ms: fc.oneof(fc.constant(0), shortMs, shortMs, fc.integer({ min: 0, max: 400_000 })),
});
const step = fc.record({
  kind: fc.constant("step" as const),
  ms: fc.oneof(fc.constant(31_536_000_000), fc.integer({ min: -300_000, max: 300_000 })),
});

/** Waits on the clock, or until the signal is aborted. */
function wait(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    clock.after(ms, resolve);
    signal?.addEventListener("abort", () => reject(signal.reason));
  });
}

function planned(
  clock: Clock,
  { id, durationMs, obedient, endings }: Plan,
  report: (plan: number, what: "start" | "end") => void,
): Job {
  let runs = 0;
  return async (signal) => {
    report(id, "start");
    try {
      await wait(clock, durationMs, obedient ? signal : undefined);
    } finally {
      report(id, "end");
    }
    const ending = endings[runs++];
    if (ending === "throw") throw new Error("as planned");
    return ending === undefined ? undefined : clock.now().add({ milliseconds: ending });
  };
}

Deno.test("the scheduler runs each key as a naive model does, for any sequence of calls", async () => {
  const operations = fc.array(fc.oneof(schedule, advance, cancel), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(operations, async (operations) => {
      const clock = new FakeClock();
      const model = new NaiveScheduler(clock.now().epochMilliseconds);
      await using scheduler = new Scheduler({ clock, random: () => 0.5 });
      const events: Event[] = [];
      for (const operation of [...operations, { kind: "advance", ms: 3_600_000 } as const]) {
        if (operation.kind === "schedule") {
          const { key, inMs, plan } = operation;
          const at = clock.now().add({ milliseconds: inMs });
          model.schedule(key, at.epochMilliseconds, plan);
          scheduler.schedule(
            key,
            at,
            planned(clock, plan, (plan, what) => {
              events.push({ atMs: clock.now().epochMilliseconds, key, plan, what });
            }),
          );
        } else if (operation.kind === "cancel") {
          model.cancel(operation.key);
          void scheduler.cancel(operation.key);
        } else {
          model.advance(operation.ms);
          await clock.advance({ milliseconds: operation.ms });
          assert.equal(scheduler.running, model.running);
        }
        assert.equal(scheduler.size, model.size);
        for (const key of keys) {
          assert.equal(scheduler.nextRun(key)?.epochMilliseconds, model.nextRunMs(key));
          const of = (all: Event[]) => all.filter((event) => event.key === key);
          assert.deepEqual(of(events), of(model.events));
        }
      }
      for (const key of keys) void scheduler.cancel(key);
    }),
    { numRuns: 1_000 },
  );
});

Deno.test("with a wall clock that steps, the instants and one run of a key at a time still hold", async () => {
  const operations = fc.array(fc.oneof(schedule, advance, cancel, step), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(operations, async (operations) => {
      const clock = new FakeClock();
      await using scheduler = new Scheduler({ clock, random: () => 0.5 });
      const running = new Set<string>();
      let steadyMs = Infinity;
      for (const operation of operations) {
        if (operation.kind === "schedule") {
          const { key, inMs, plan } = operation;
          const record = (_plan: number, what: "start" | "end") => {
            if (what === "end") return void running.delete(key);
            assert.ok(!running.has(key), "one run of a key at a time");
            running.add(key);
            const at = scheduler.nextRun(key) ?? assert.fail("runs, but has no job");
            assert.ok(Temporal.Instant.compare(at, clock.now()) <= 0, "none runs early");
          };
          const at = clock.now().add({ milliseconds: inMs });
          scheduler.schedule(key, at, planned(clock, plan, record));
        } else if (operation.kind === "cancel") {
          const { key } = operation;
          void scheduler.cancel(key);
        } else if (operation.kind === "step") {
          clock.set(clock.now().add({ milliseconds: operation.ms }));
          steadyMs = 0;
        } else {
          await clock.advance({ milliseconds: operation.ms });
          steadyMs += operation.ms;
          if (steadyMs < 60_000) continue;
          for (const key of keys) {
            const at = scheduler.nextRun(key);
            if (at === undefined || running.has(key)) continue;
            assert.ok(Temporal.Instant.compare(at, clock.now()) > 0, `${key} is left waiting`);
          }
        }
      }
      const cancels = keys.map((key) => scheduler.cancel(key));
      await clock.advance({ seconds: 5 });
      await Promise.all(cancels);
      assert.equal(running.size, 0);
      assert.equal(scheduler.size, 0);
      assert.equal(clock.timers, 0);
    }),
    { numRuns: 300 },
  );
});
