import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { AddressRates } from "../../../src/shared/network/address_rates.ts";

Deno.test("the addresses that are remembered are bounded, and those that came last remain", () => {
  const limiter = new AddressRates(new FakeClock(), { perSecond: 1, burst: 2 });
  for (const _ of [1, 2]) limiter.admits("first");
  assert.equal(limiter.admits("first"), false);
  for (let n = 0; n < 16_383; n++) limiter.admits(`${n}`);
  assert.equal(limiter.admits("first"), false);
  for (let n = 0; n < 20_000; n++) limiter.admits(`other ${n}`);
  assert.equal(limiter.admits("first"), true);
});
