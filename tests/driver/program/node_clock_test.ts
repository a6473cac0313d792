import assert from "node:assert/strict";
import { openNodeClock, steadyClock } from "../../../src/driver/program/node_clock.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

Deno.test("the time since boot is the kernel's, and its identifier is that of this boot", async () => {
  using clock = openNodeClock();
  using again = openNodeClock();
  const [uptime] = (await Deno.readTextFile("/proc/uptime")).split(" ");
  const { bootMs, bootId } = clock.moment();
  // A suspend is part of both; the text has hundredths of a second.
  assert.ok(bootMs >= Number(uptime) * 1000 && bootMs < Number(uptime) * 1000 + 60_000);
  assert.equal(bootId, again.moment().bootId);
  assert.match(bootId, /^[0-9a-f-]{36}$/);
});

Deno.test("without the C library the time counts from the program's start, under an identifier of its own", () => {
  const refuse = () => {
    throw new Error("not permitted");
  };
  using clock = openNodeClock(refuse);
  using again = openNodeClock(refuse);
  assert.notEqual(clock.moment().bootId, again.moment().bootId);
  const first = clock.moment().bootMs;
  assert.ok(clock.moment().bootMs >= first && first >= 0);
});

Deno.test("a steady clock starts at the wall clock's time, and no step of that changes it", async () => {
  const clock = new FakeClock();
  const start = clock.now();
  const steady = steadyClock(clock);
  await clock.advance({ seconds: 10 });
  clock.set(start.subtract({ hours: 24 }));
  clock.sleep({ seconds: 5 });
  assert.ok(steady.now().equals(start.add({ seconds: 15 })));
});
