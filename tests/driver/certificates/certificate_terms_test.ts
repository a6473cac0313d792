import assert from "node:assert/strict";
import {
  ageMs,
  expiryTime,
  isExpired,
  lifetimeMs,
} from "../../../src/driver/certificates/certificate_terms.ts";
import { clockSkewMs } from "../../../src/driver/certificates/clock_skew.ts";

const issuedAt = Temporal.Instant.from("2026-01-01T00:00:00Z");
const terms = {
  notBefore: issuedAt.subtract({ minutes: 5 }),
  notAfter: issuedAt.add({ minutes: 10 }),
  issuedAt,
  receivedBootMs: 50_000,
  bootId: "boot-1",
};
const minute = 60_000;

/** So many minutes after the receipt, by each clock. */
function moment(wallMinutes: number, bootMinutes: number, bootId = "boot-1") {
  const wall = issuedAt.add({ minutes: wallMinutes });
  return { wall, bootMs: 50_000 + bootMinutes * minute, bootId };
}

Deno.test("the lifetime is the certificate's own without the back-dating, whatever the node's clock showed", () => {
  assert.equal(lifetimeMs(terms), 10 * minute);
  assert.equal(
    lifetimeMs({ ...terms, issuedAt: issuedAt.add({ hours: 1 }) } as typeof terms),
    10 * minute,
  );
});

const ages: readonly [string, ReturnType<typeof moment>, number | undefined][] = [
  ["with both clocks running", moment(3, 3), 3],
  ["after the wall clock stepped back", moment(-60, 3), 3],
  [
    "after a pause of the virtual machine, during which the time since boot stood still",
    moment(30, 3),
    30,
  ],
  ["after a reboot, by the wall clock alone", moment(3, -1, "boot-2"), 3],
  [
    "after a reboot with a clock that shows a time before the receipt: unknown",
    moment(-1, 0, "boot-2"),
    undefined,
  ],
];

for (const [name, now, minutes] of ages) {
  Deno.test(`the age of a certificate ${name}`, () => {
    assert.equal(ageMs(terms, now), minutes === undefined ? undefined : minutes * minute);
  });
}

Deno.test("a certificate has expired when its age reaches its lifetime, and one of unknown age has not", () => {
  assert.equal(isExpired(terms, moment(9, 9)), false);
  assert.equal(isExpired(terms, moment(-60, 10)), true);
  assert.equal(isExpired(terms, moment(10, 0)), true);
  assert.equal(isExpired(terms, moment(-60, 10, "boot-2")), false);
  assert.equal(String(expiryTime(terms, moment(-60, 4))), String(issuedAt.add({ minutes: -54 })));
});

Deno.test("the skew is the value nearest to zero that the exchange permits", () => {
  const at = (seconds: number) => issuedAt.add({ milliseconds: seconds * 1000 });
  // Issued at 100 s, rounded down.
  assert.equal(clockSkewMs(at(100), at(100.2), at(100.9)), 0);
  assert.equal(clockSkewMs(at(100), at(99), at(102)), 0, "the service took long");
  assert.equal(clockSkewMs(at(100), at(40), at(40.5)), 59_500, "the node is behind");
  assert.equal(clockSkewMs(at(100), at(161), at(162)), -60_000, "the node is ahead");
});
