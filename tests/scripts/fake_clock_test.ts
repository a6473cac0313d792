import assert from "node:assert/strict";
import { FakeClock } from "../../scripts/support/fake_clock.ts";

Deno.test("timers fire at their instant, in their order, and see the effects of the earlier ones", async () => {
  const clock = new FakeClock(Temporal.Instant.from("2026-01-01T00:00:00Z"));
  const fired: string[] = [];
  const fire = (name: string) => async () => {
    await Promise.resolve();
    fired.push(`${name} ${clock.now()}`);
  };
  clock.after(2_000, fire("second"));
  clock.after(1_000, fire("first"));
  clock.after(2_000, fire("third"));
  clock.after(0, () => clock.after(2_000, fire("fourth")));
  clock.after(1_500, fire("disposed"))[Symbol.dispose]();
  await clock.advance({ seconds: 2 });
  assert.deepEqual(fired, [
    "first 2026-01-01T00:00:01Z",
    "second 2026-01-01T00:00:02Z",
    "third 2026-01-01T00:00:02Z",
    "fourth 2026-01-01T00:00:02Z",
  ]);
  assert.equal(`${clock.now()}`, "2026-01-01T00:00:02Z");
});

Deno.test("a step of the wall clock does not change the waits", async () => {
  const clock = new FakeClock();
  let fired = 0;
  clock.after(60_000, () => fired++);
  await clock.advance({ seconds: 30 });
  clock.set(Temporal.Instant.from("2030-01-01T00:00:00Z"));
  await clock.advance({ seconds: 29 });
  assert.equal(fired, 0);
  await clock.advance({ seconds: 1 });
  assert.equal(fired, 1);
  assert.equal(`${clock.now()}`, "2030-01-01T00:00:30Z");
});

Deno.test("until lets I/O happen while the time stands still, and rejects after a limit", async () => {
  const clock = new FakeClock();
  const start = clock.now();
  let stat: Deno.FileInfo | undefined;
  Deno.stat(".").then((answer) => stat = answer);
  await clock.until(() => stat !== undefined);
  assert.ok(clock.now().equals(start));
  await assert.rejects(clock.until(() => false, 10), /does not hold after 10 turns/);
});
