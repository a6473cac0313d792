import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { AttestationLimits } from "../../../src/service/attestation/attestation_limits.ts";
import { ReviewLimiter } from "../../../src/service/attestation/review_limiter.ts";

function open(requests = { perSecond: 1_000, burst: 1_000 }) {
  const clock = new FakeClock();
  const atOnce = { total: 5, perAddress: 2 };
  const limits = new AttestationLimits(clock, { connections: requests, requests, atOnce });
  return {
    clock,
    limits,
    acquire: (address: string) => limits.acquire(address),
    kindOf: (address: string) => limits.acquire(address).kind,
  };
}

Deno.test("attestations are limited for an address and for all addresses", () => {
  const { acquire, kindOf } = open();
  const first = acquire("192.0.2.1");
  assert.equal(kindOf("::ffff:192.0.2.1"), "place");
  assert.equal(kindOf("192.0.2.1"), "overloaded");
  const others = ["192.0.2.2", "192.0.2.2", "192.0.2.3"].map(kindOf);
  assert.deepEqual(others, ["place", "place", "place"]);
  assert.equal(kindOf("192.0.2.4"), "busy");
  assert.ok(first.kind === "place");
  first.place[Symbol.dispose]();
  assert.equal(kindOf("192.0.2.4"), "place");
  assert.equal(kindOf("192.0.2.5"), "busy");
});

Deno.test("the rate of an address is limited, with a burst, and independent of other addresses", async () => {
  const { clock, acquire, limits } = open({ perSecond: 10, burst: 3 });
  const admits = (address: string) => {
    const acquired = acquire(address);
    if (acquired.kind === "place") acquired.place[Symbol.dispose]();
    return acquired.kind === "place";
  };
  const admitted = () => [1, 2, 3, 4, 5].filter(() => admits("192.0.2.1")).length;
  assert.equal(admitted(), 3);
  assert.equal(admits("192.0.2.2"), true);
  await clock.advance({ milliseconds: 200 });
  assert.equal(admitted(), 2);
  await clock.advance({ hours: 1 });
  assert.equal(admitted(), 3);
  const connected = [1, 2, 3, 4, 5].filter(() => limits.admitsConnection("192.0.2.1"));
  assert.equal(connected.length, 3);
  // A step of the wall clock neither gives nor takes for long.
  clock.set(clock.now().subtract({ hours: 2 }));
  assert.equal(admitted(), 0);
  await clock.advance({ milliseconds: 100 });
  assert.equal(admitted(), 1);
});

Deno.test("one review of an unknown key's token runs at a time, and one a second", async () => {
  const clock = new FakeClock();
  const limiter = new ReviewLimiter(clock);
  const { promise, resolve } = Promise.withResolvers<string>();
  const first = limiter.run(() => promise);
  assert.equal(await limiter.run(() => Promise.resolve("second")), undefined);
  await clock.advance({ seconds: 5 });
  assert.equal(await limiter.run(() => Promise.resolve("third")), undefined);
  resolve("first");
  assert.deepEqual(await first, { value: "first" });
  assert.deepEqual(await limiter.run(() => Promise.resolve("fourth")), { value: "fourth" });
  assert.equal(await limiter.run(() => Promise.resolve("fifth")), undefined);
  await clock.advance({ seconds: 1 });
  await assert.rejects(limiter.run(() => Promise.reject(new Error("broken"))), /broken/);
  await clock.advance({ seconds: 1 });
  assert.deepEqual(await limiter.run(() => Promise.resolve("sixth")), { value: "sixth" });
});
