import assert from "node:assert/strict";
import { formatResults, measured, skipped } from "../../scripts/bench/result.ts";
import { interleave, percentile, ratioOf, summarize } from "../../scripts/bench/statistics.ts";

Deno.test("percentiles are between the samples around them", () => {
  assert.equal(percentile([1, 2, 3, 4], 0.5), 2.5);
  assert.equal(percentile([7], 0.99), 7);
  assert.ok(Number.isNaN(percentile([], 0.5)));
  assert.deepEqual(summarize([3, 1, 2]), { median: 2, low: 1.2, high: 2.8, samples: 3 });
});

Deno.test("a ratio is the median of the ratios within each round", () => {
  // The second round was disturbed, on both sides.
  assert.equal(ratioOf([10, 1, 10], [5, 0.5, 5]), 2);
});

Deno.test("candidates are measured in turn, each round beginning with another", async () => {
  const order: string[] = [];
  const of = (name: string) => () => Promise.resolve(order.push(name));
  const samples = await interleave(2, { a: of("a"), b: of("b") });
  assert.equal(order.join(""), "abba");
  assert.deepEqual(samples, { a: [1, 4], b: [2, 3] });
});

Deno.test("a line states its reference, its ratio and whether its target is reached", () => {
  const reference = { what: "theirs", samples: [2], ratio: 2 };
  const text = formatResults([
    measured(1, "ours", "/s", [4], { reference, atLeast: 1 }),
    measured(2, "slow", "ms", [300], { atMost: 250 }),
    skipped(3, "mounts", "not permitted"),
  ]);
  const [, first, second, third] = text.split("\n");
  assert.match(first ?? "", /ours +4\.00 .* 2\.00× +theirs: 2\.00 +≥ 1× reached$/);
  assert.match(second ?? "", /slow +300 .* ≤ 250 ms MISSED$/);
  assert.match(third ?? "", /mounts +– .* not measured: not permitted$/);
});
