import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { AddressLimiter } from "../../../src/shared/grpc_server/connection_limits.ts";

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
