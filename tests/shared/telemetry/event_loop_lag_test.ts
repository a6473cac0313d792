import assert from "node:assert/strict";
import { observeEventLoopLag } from "../../../src/shared/telemetry/event_loop_lag.ts";
import { Metrics } from "../../../src/shared/telemetry/metrics.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

/** What is exposed of the buckets, the count and the sum, by the bound or the name. */
function exposed(metrics: Metrics): Record<string, string> {
  const lines = metrics.expose().matchAll(
    /^event_loop_lag_seconds_(?:bucket\{le="(.+)"\}|(\w+)) (.+)$/gm,
  );
  return Object.fromEntries([...lines].map(([, bound, name, value]) => [bound ?? name, value]));
}

Deno.test("a delay of the event loop is observed with its duration", async () => {
  const clock = new FakeClock();
  const metrics = new Metrics();
  let lateMs = 0;
  const elapsed = () => clock.now().epochMilliseconds + lateMs;
  using _lag = observeEventLoopLag(metrics, clock, elapsed);
  await clock.advance({ milliseconds: 99 });
  assert.equal(exposed(metrics)["0.005"], "1");
  // The timer's turn comes 60 ms after its time.
  lateMs = 60;
  await clock.advance({ milliseconds: 1 });
  assert.deepEqual(exposed(metrics), {
    "0.005": "1",
    "0.01": "1",
    "0.02": "1",
    "0.03": "1",
    "0.05": "1",
    "0.075": "2",
    "0.1": "2",
    "0.15": "2",
    "0.25": "2",
    "0.5": "2",
    "1": "2",
    "2.5": "2",
    "5": "2",
    "10": "2",
    "+Inf": "2",
    sum: "0.06",
    count: "2",
  });
});

Deno.test("a step of the wall clock is no lag", async () => {
  const clock = new FakeClock();
  const metrics = new Metrics();
  using _lag = observeEventLoopLag(metrics, clock, () => 0);
  clock.set(clock.now().add({ hours: 1 }));
  await clock.advance({ milliseconds: 200 });
  const { count, "0.005": within } = exposed(metrics);
  assert.deepEqual([count, within], ["4", "4"]);
});

Deno.test("an idle program is measured once a second, and often for a second after each piece of work", async () => {
  const clock = new FakeClock();
  const metrics = new Metrics();
  const elapsed = () => clock.now().epochMilliseconds;
  using lag = observeEventLoopLag(metrics, clock, elapsed);
  const looks = async (duration: Temporal.DurationLike) => {
    const before = Number(exposed(metrics).count ?? 0);
    await clock.advance(duration);
    return Number(exposed(metrics).count) - before;
  };
  assert.equal(await looks({ seconds: 1 }), 20, "a start is work");
  assert.equal(await looks({ minutes: 1 }), 60);
  await clock.advance({ milliseconds: 500 });
  lag.reportActivity();
  assert.equal(await looks({ milliseconds: 500 }), 10);
  lag.reportActivity();
  assert.equal(await looks({ seconds: 1 }), 20);
  assert.equal(await looks({ seconds: 10 }), 10);
  assert.equal(clock.timers, 1);
});

Deno.test("a measurement that is overdue when work begins is made at once", async () => {
  const clock = new FakeClock();
  const metrics = new Metrics();
  let lateMs = 0;
  const elapsed = () => clock.now().epochMilliseconds + lateMs;
  using lag = observeEventLoopLag(metrics, clock, elapsed);
  await clock.advance({ milliseconds: 1_900 });
  const { count, "0.5": within } = exposed(metrics);
  assert.equal(count, within);
  // The event loop is held for 700 ms, and then comes to a call first.
  lateMs = 700;
  lag.reportActivity();
  assert.equal(Number(exposed(metrics).count), Number(count) + 1);
  assert.equal(exposed(metrics)["0.5"], within);
});

Deno.test("nothing is measured after the end", () => {
  const clock = new FakeClock();
  const lag = observeEventLoopLag(new Metrics(), clock);
  assert.equal(clock.timers, 1);
  lag[Symbol.dispose]();
  assert.equal(clock.timers, 0);
});
