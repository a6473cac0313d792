import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { addressKey, AddressLimits } from "../../../src/service/attestation/address_limits.ts";
import { NarrowLane } from "../../../src/service/attestation/narrow_lane.ts";

Deno.test("an address is counted in one form, and IPv6 by its network", () => {
  const rows = [
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::ffff:c000:201", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8:1:2::1", "2001:db8:1:2::/64"],
    ["2001:0db8:0001:0002::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
  ];
  for (const [address = "", key] of rows) assert.equal(addressKey(address), key, address);
});

function open() {
  const clock = new FakeClock();
  const limits = new AddressLimits({
    clock,
    connections: { inAll: 5, perAddress: 2 },
    requests: { perSecond: 10, burst: 3 },
  });
  return { clock, limits };
}

Deno.test("an address has so many connections, and all together have so many", () => {
  const { limits } = open();
  const first = limits.connect("192.0.2.1");
  assert.ok(first && limits.connect("::ffff:192.0.2.1"));
  assert.equal(limits.connect("192.0.2.1"), undefined);
  assert.ok(limits.connect("192.0.2.2") && limits.connect("192.0.2.2"));
  assert.ok(limits.connect("192.0.2.3"));
  assert.equal(limits.connect("192.0.2.4"), undefined);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  assert.equal(limits.open, 4);
  assert.ok(limits.connect("192.0.2.4"));
  assert.equal(limits.connect("192.0.2.4"), undefined);
});

Deno.test("an address has a burst of requests and then so many a second, whatever the others do", async () => {
  const { clock, limits } = open();
  const admitted = () => [1, 2, 3, 4, 5].filter(() => limits.admits("192.0.2.1")).length;
  assert.equal(admitted(), 3);
  assert.equal(limits.admits("192.0.2.2"), true);
  await clock.advance({ milliseconds: 200 });
  assert.equal(admitted(), 2);
  await clock.advance({ hours: 1 });
  assert.equal(admitted(), 3);
  clock.set(clock.now().subtract({ hours: 2 }));
  assert.equal(admitted(), 0);
  await clock.advance({ milliseconds: 100 });
  assert.equal(admitted(), 1);
});

Deno.test("one passes the lane at a time, and one a second", async () => {
  const clock = new FakeClock();
  const lane = new NarrowLane(clock);
  const { promise, resolve } = Promise.withResolvers<string>();
  const first = lane.run(() => promise);
  assert.equal(await lane.run(() => Promise.resolve("second")), undefined);
  await clock.advance({ seconds: 5 });
  assert.equal(await lane.run(() => Promise.resolve("third")), undefined);
  resolve("first");
  assert.deepEqual(await first, { value: "first" });
  assert.deepEqual(await lane.run(() => Promise.resolve("fourth")), { value: "fourth" });
  assert.equal(await lane.run(() => Promise.resolve("fifth")), undefined);
  await clock.advance({ seconds: 1 });
  await assert.rejects(lane.run(() => Promise.reject(new Error("broken"))), /broken/);
  await clock.advance({ seconds: 1 });
  assert.deepEqual(await lane.run(() => Promise.resolve("sixth")), { value: "sixth" });
});
