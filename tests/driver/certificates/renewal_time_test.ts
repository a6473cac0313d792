import assert from "node:assert/strict";
import fc from "fast-check";
import {
  isRenewBeforeTooLong,
  renewalAgeMs,
  renewalDueInMs,
  renewalRetryDelay,
  renewalSpread,
  requestPauseMs,
} from "../../../src/driver/certificates/renewal_time.ts";

const issuedAt = Temporal.Instant.from("2026-01-01T00:00:00Z");
const tenYears = 10 * 365 * 24 * 3600;

function ageOf(seconds: number, spread: number, renewBeforeSeconds?: number): number {
  const renewBefore = renewBeforeSeconds === undefined
    ? undefined
    : Temporal.Duration.from({ seconds: renewBeforeSeconds });
  return renewalAgeMs(seconds * 1000, renewBefore, spread) / 1000;
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

Deno.test("renewal is never due before half of the lifetime nor after the expiry, whatever renew-before is", () => {
  fc.assert(fc.property(
    fc.integer({ min: 10, max: tenYears }),
    fc.double({ min: 0, max: 1, noNaN: true }),
    fc.option(fc.integer({ min: 1, max: tenYears }), { nil: undefined }),
    (seconds, spread, renewBefore) => {
      const age = ageOf(seconds, spread, renewBefore);
      assert.ok(age >= seconds / 2 && age < seconds);
    },
  ));
});

Deno.test("renew-before counts as half of the lifetime when it is longer", () => {
  const week = 168 * 3600;
  assert.equal(ageOf(week, 1, 200 * 3600), week / 2);
  const hours = (hours: number) => Temporal.Duration.from({ hours });
  assert.equal(isRenewBeforeTooLong(week * 1000, hours(84)), false);
  assert.equal(isRenewBeforeTooLong(week * 1000, hours(85)), true);
});

Deno.test("two requests are a twentieth of the lifetime apart, from 1 second to 1 minute", () => {
  const lifetimes = [10, 60, 600, 1200, tenYears].map((seconds) => seconds * 1000);
  assert.deepEqual(lifetimes.map(requestPauseMs), [1_000, 3_000, 30_000, 60_000, 60_000]);
});

Deno.test("the time until the renewal counts from the receipt; of unknown age it is now, spread over a minute at most", () => {
  const terms = {
    notBefore: issuedAt.subtract({ minutes: 5 }),
    notAfter: issuedAt.add({ hours: 100 }),
    issuedAt,
    receivedBootMs: 1_000,
    bootId: "boot-1",
  };
  const hour = 3_600_000;
  const moment = { wall: issuedAt, bootMs: 1_000 + 10 * hour, bootId: "boot-1" };
  assert.equal(renewalDueInMs(terms, undefined, 0, moment), 70 * hour);
  const rebooted = { ...moment, bootId: "boot-2", wall: issuedAt.add({ hours: 30 }) };
  assert.equal(renewalDueInMs(terms, undefined, 0, rebooted), 50 * hour);
  const behind = { ...rebooted, wall: issuedAt.subtract({ seconds: 1 }) };
  assert.equal(renewalDueInMs(terms, undefined, 0.5, behind), 30_000);
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
