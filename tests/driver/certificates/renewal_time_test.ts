import assert from "node:assert/strict";
import fc from "fast-check";
import {
  minimumRenewalAge,
  renewalRetryDelay,
  renewalSpread,
  renewalTime,
} from "../../../src/driver/certificates/renewal_time.ts";

const issuedAt = Temporal.Instant.from("2026-01-01T00:00:00Z");
const tenYears = 10 * 365 * 24 * 3600;

function ageOf(seconds: number, spread: number, renewBeforeSeconds?: number): number {
  const renewBefore = renewBeforeSeconds === undefined
    ? undefined
    : Temporal.Duration.from({ seconds: renewBeforeSeconds });
  const terms = { issuedAt, notAfter: issuedAt.add({ seconds }), renewBefore };
  return renewalTime(terms, spread).since(issuedAt).total("seconds");
}

Deno.test("renewal is due at 80 % of the lifetime plus up to 4 %, from 10 seconds to 10 years", () => {
  for (const seconds of [10, 60, 3600, 604_800, 30 * 86_400, tenYears]) {
    assert.equal(ageOf(seconds, 0), seconds * 0.8);
    assert.ok(Math.abs(ageOf(seconds, 1) - seconds * 0.84) < 0.001);
  }
});

Deno.test("renew-before is kept: the spread only brings it forward", () => {
  assert.equal(ageOf(3600, 0, 600), 3000);
  assert.equal(ageOf(3600, 1, 600), 3000 - 144);
});

Deno.test("renewal is never due before the least age nor after the expiry, whatever renew-before is", () => {
  fc.assert(fc.property(
    fc.integer({ min: 10, max: tenYears }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.option(fc.integer({ min: 1, max: tenYears }), { nil: undefined }),
    (seconds, spread, renewBefore) => {
      const age = ageOf(seconds, spread, renewBefore);
      assert.ok(age >= minimumRenewalAge(seconds * 1000) / 1000 - 0.001);
      assert.ok(age < seconds);
    },
  ));
});

Deno.test("the spread of a volume is the same after a restart, and even over many volumes", () => {
  assert.equal(renewalSpread("csi-1"), renewalSpread("csi-1"));
  const tenths = new Array(10).fill(0);
  for (let volume = 0; volume < 10_000; volume++) {
    tenths[Math.floor(renewalSpread(`csi-${volume}`) * 10)]++;
  }
  for (const count of tenths) assert.ok(count > 850 && count < 1150, `${tenths}`);
});

Deno.test("the wait after a failure doubles from 1 second to 5 minutes and shrinks towards the expiry", () => {
  const far = 30 * 86_400_000;
  assert.deepEqual(
    [1, 2, 3, 9, 10, 100].map((attempt) => renewalRetryDelay(attempt, far, () => 1)),
    [
      1_000,
      2_000,
      4_000,
      256_000,
      300_000,
      300_000,
    ],
  );
  assert.equal(renewalRetryDelay(10, 60_000, () => 1), 6_000);
  assert.equal(renewalRetryDelay(10, -1, () => 1), 300_000);
  assert.equal(renewalRetryDelay(10, far, () => 0), 1_000);
  assert.equal(renewalRetryDelay(1, far, () => 0, 30_000), 31_000);
});
