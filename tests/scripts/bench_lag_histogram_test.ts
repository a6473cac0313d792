import assert from "node:assert/strict";
import { observeEventLoopLag } from "../../src/shared/telemetry/event_loop_lag.ts";
import { Metrics } from "../../src/shared/telemetry/metrics.ts";
import { FakeClock } from "../../scripts/support/fake_clock.ts";
import { LagHistogram } from "../../scripts/bench/lag_histogram.ts";

Deno.test("a program's lag since a time is read from its metrics", async () => {
  const clock = new FakeClock();
  const metrics = new Metrics();
  let lateMs = 0;
  using _lag = observeEventLoopLag(metrics, clock, () => clock.now().epochMilliseconds + lateMs);
  // Nothing was observed yet.
  const start = new LagHistogram(metrics.expose());
  for (const late of [40, 4, 4, 4]) {
    lateMs += late;
    await clock.advance({ milliseconds: 50 });
  }
  const before = new LagHistogram(metrics.expose());
  for (const late of [4, 4, 4, 60]) {
    lateMs += late;
    await clock.advance({ milliseconds: 50 });
  }
  const lag = new LagHistogram(metrics.expose()).since(before);
  assert.equal(lag.meanMs.toFixed(3), "18.000");
  assert.deepEqual([lag.percentileMs(0.75), lag.percentileMs(0.99), lag.percentileMs(1)], [
    5,
    75,
    75,
  ]);
  assert.equal(before.since(start).percentileMs(1), 50);
});
