import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import {
  addressKey,
  AddressLimiter,
  BoundedGroups,
} from "../../../src/shared/grpc_server/connection_limits.ts";

const rates = { unknown: { perSecond: 1, burst: 2 }, recognized: { perSecond: 1, burst: 5 } };

Deno.test("each address has a rate of its own, and a larger one for an hour after a valid certificate", async () => {
  const clock = new FakeClock();
  const limiter = new AddressLimiter(rates, clock);
  const admitted = (address: string) =>
    Array.from({ length: 10 }, () => limiter.admits(address)).filter(Boolean).length;
  assert.equal(admitted("10.0.0.1"), 2);
  assert.equal(admitted("10.0.0.2"), 2);
  limiter.recognize("10.0.0.1");
  assert.equal(admitted("10.0.0.1"), 5);
  await clock.advance({ minutes: 59 });
  assert.equal(admitted("10.0.0.1"), 5);
  await clock.advance({ minutes: 2 });
  assert.equal(admitted("10.0.0.1"), 2);
});

Deno.test("the addresses that are remembered are bounded, and those that came last remain", () => {
  const limiter = new AddressLimiter(rates, new FakeClock());
  for (const _ of [1, 2]) limiter.admits("first");
  assert.equal(limiter.admits("first"), false);
  for (let n = 0; n < 16_383; n++) limiter.admits(`${n}`);
  assert.equal(limiter.admits("first"), false);
  for (let n = 0; n < 20_000; n++) limiter.admits(`other ${n}`);
  assert.equal(limiter.admits("first"), true);
});

Deno.test("a full set evicts the oldest of the group that has most", () => {
  const groups = new BoundedGroups<string>(4);
  const evicted = ["a1", "b1", "b2", "c1", "b3", "d1", "e1", "e2"].map((member) =>
    groups.add(member.charAt(0), member)
  );
  assert.deepEqual(evicted, [undefined, undefined, undefined, undefined, "b1", "b2", "a1", "b3"]);
  assert.deepEqual([...groups], ["c1", "d1", "e1", "e2"]);
  groups.delete("e", "e1");
  groups.delete("e", "unknown");
  assert.deepEqual([groups.size, groups.count("e"), groups.oldest("e")], [3, 1, "e2"]);
  assert.equal(groups.add("f", "f1"), undefined);
});

for (
  const [address, key] of [
    ["10.1.2.3", "10.1.2.3"],
    ["::ffff:10.1.2.3", "10.1.2.3"],
    ["2001:db8:0001:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:DB8:1:2:ffff::1", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:1:2:3:4:10.1.2.3", "2001:db8:1:2::/64"],
    ["64:ff9b::10.1.2.3", "64:ff9b:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["::1", "0:0:0:0::/64"],
    ["", ""],
  ] as const
) {
  Deno.test(`the address ${address || "(none)"} counts as ${key || "(none)"}`, () => {
    assert.equal(addressKey(address), key);
  });
}
