import assert from "node:assert/strict";
import { EventLoopLimiter } from "../../../src/shared/scheduler/event_loop_yield.ts";
import { countTurns } from "../../support/count_turns.ts";
import { turn } from "../../../scripts/support/fake_clock.ts";

Deno.test("a caller that is alone continues at once", async () => {
  const turns = new EventLoopLimiter();
  let isLater = false;
  for (let count = 0; count < 3; count++) {
    const later = turn().then(() => isLater = true);
    await turns.acquire();
    assert.equal(isLater, false);
    await later;
    isLater = false;
  }
});

Deno.test("callers that come together have an iteration of the event loop each, in their order", async () => {
  const turns = new EventLoopLimiter();
  using loop = countTurns();
  const continued: { name: number; at: number }[] = [];
  await Promise.all(Array.from({ length: 5 }, async (_, name) => {
    await turns.acquire();
    continued.push({ name, at: loop.now });
  }));
  assert.deepEqual(continued.map(({ name }) => name), [0, 1, 2, 3, 4]);
  assert.equal(new Set(continued.map(({ at }) => at)).size, 5);
});
