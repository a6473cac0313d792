import assert from "node:assert/strict";
import fc from "fast-check";
import { ScheduledJob } from "../../../src/shared/scheduler/scheduled_job.ts";

const job = () => Promise.resolve(undefined);

Deno.test("an entry keeps its instant to the nanosecond and is due at the first whole millisecond from it", () => {
  const latest = 8_640_000_000_000_000_000_000n;
  const anywhere = fc.bigInt({ min: -latest, max: latest });
  const aroundAnEdge = fc.tuple(fc.integer({ min: -3, max: 3 }), fc.constantFrom(-1n, 0n, 1n))
    .map(([ms, ns]) => BigInt(ms) * 1_000_000n + ns);
  fc.assert(
    fc.property(fc.oneof(anywhere, aroundAnEdge), (nanoseconds) => {
      const at = new Temporal.Instant(nanoseconds);
      const entry = new ScheduledJob("a", at, job);
      assert.equal(entry.at.epochNanoseconds, nanoseconds);
      const due = at.round({ smallestUnit: "millisecond", roundingMode: "ceil" });
      assert.equal(entry.dueMs, due.epochMilliseconds);
    }),
    { numRuns: 1_000 },
  );
});
