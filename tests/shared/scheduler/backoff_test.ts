import assert from "node:assert/strict";
import { fullJitterDelay } from "../../../src/shared/scheduler/backoff.ts";

const options = { baseMs: 1_000, maxMs: 300_000 };

Deno.test("the bound of the wait doubles with each attempt until it reaches the maximum", () => {
  const waits = [1, 2, 3, 8, 9, 10, 11, 100].map((attempt) =>
    fullJitterDelay(attempt, options, () => 1)
  );
  assert.deepEqual(waits, [1_000, 2_000, 4_000, 128_000, 256_000, 300_000, 300_000, 300_000]);
});

Deno.test("the wait is drawn from the whole range below its bound", () => {
  assert.equal(fullJitterDelay(3, options, () => 0), 0);
  assert.equal(fullJitterDelay(3, options, () => 0.25), 1_000);
});

Deno.test("after so many failures that the delay overflows it is the maximum", () => {
  assert.equal(fullJitterDelay(5_000, options, () => 1), 300_000);
});
