import assert from "node:assert/strict";
import fc from "fast-check";
import { runs } from "../../support/runs.ts";
import { makeSecret } from "./rotation_fixture.ts";
import { RotationModel, type Step } from "./rotation_model.ts";

const secrets = await Promise.all(["A", "B", "C", "D"].map((name) => makeSecret(name)));
const last = await makeSecret("Last");

const replica = fc.nat(2);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("wait" as const),
      minutes: fc.oneof(fc.nat(15), fc.nat(60 * 15)),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("secret" as const),
      ca: fc.nat(3),
      compromised: fc.integer({ min: 0, max: 4 }).map((value) => value === 0),
      further: fc.option(fc.nat(3), { nil: undefined, freq: 3 }),
      keepsFormer: fc.boolean(),
      isBroken: fc.integer({ min: 0, max: 9 }).map((value) => value === 0),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom("disconnect" as const, "connect" as const, "restart" as const),
      replica,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("late" as const), replica, age: fc.nat(4) }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constantFrom("unwatch" as const, "watch" as const, "watch" as const),
      replica,
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("restart all" as const) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("conflict" as const) }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("outage" as const), minutes: fc.nat(30) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("document" as const),
      change: fc.constantFrom(
        "delete" as const,
        "restore" as const,
        "remove key" as const,
        "damage key" as const,
        "publish" as const,
        "bring back" as const,
      ),
      choice: fc.nat(200),
    }),
  },
);

Deno.test("in any schedule no untrusted root is published, every root that a live certificate needs is trusted, and the replicas converge", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 20 }), async (steps) => {
      await using model = new RotationModel(secrets);
      for (const step of steps) {
        await model.perform(step);
        assert.deepEqual(model.contradictions(), [], JSON.stringify(step));
      }
      await model.converge(last);
      assert.deepEqual(model.contradictions(), []);
      assert.equal(new Set(model.bundles()).size, 1);
      assert.deepEqual(model.signing(), ["Last", "Last", "Last"]);
    }),
    runs(40),
  );
});
