import assert from "node:assert/strict";
import { readCounts } from "../../scripts/test_counts.ts";

Deno.test("counts are read from the closing line, through colours", () => {
  const output = [
    "a works ... \x1b[32mok\x1b[0m (1ms)",
    "b mounts ... \x1b[33mignored\x1b[0m \x1b[38;5;245m(0ms)\x1b[0m",
    "c ...",
    "  a step of c ... ignored (0ms)",
    "c ... ok (2ms)",
    "",
    "\x1b[32mok\x1b[0m | 5 passed (2 steps) | 0 failed | 1 ignored (1 step) (23ms)",
    "",
  ].join("\n");
  assert.deepEqual(readCounts(output), {
    passed: 5,
    failed: 0,
    ignored: ["b mounts", "a step of c"],
  });
});

Deno.test("the last closing line counts: a test may print one of its own", () => {
  const output = "ok | 9 passed | 0 failed (1ms)\n\nFAILED | 3 passed | 2 failed (1s)\n";
  assert.deepEqual(readCounts(output), { passed: 3, failed: 2, ignored: [] });
});

Deno.test("a run that ended without its closing line has no counts", () => {
  assert.equal(readCounts("running 3 tests from ./a_test.ts\na works ... ok (1ms)\n"), undefined);
});
