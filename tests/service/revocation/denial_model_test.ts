import assert from "node:assert/strict";
import fc from "fast-check";
import { runs } from "../../support/runs.ts";
import { certificateRequest, makeCa } from "../../support/service_fixture.ts";
import { type Call, DenialModel, type DocumentEdit, type Step } from "./denial_model.ts";

const material = await makeCa();
const request = await certificateRequest();

const number = fc.nat(2);
const edits: readonly DocumentEdit[] = [
  "delete",
  "remove key",
  "remove entry",
  "restore",
  "cut",
  "damage",
  "correct",
  "correct",
];
const call: fc.Arbitrary<Call> = fc.record({
  kind: fc.constantFrom("issue", "renew", "revoke by uid", "revoke by serial number"),
  replica: number,
  pod: number,
  isFormer: fc.integer({ min: 0, max: 5 }).map((value) => value === 0),
});
/** A kind of step, and how often it occurs. */
function weighted<S extends Step>(weight: number, arbitrary: fc.Arbitrary<S>) {
  return { weight, arbitrary: arbitrary as fc.Arbitrary<Step> };
}
const step = fc.oneof(
  weighted(
    5,
    fc.record({
      kind: fc.constant("wait" as const),
      minutes: fc.oneof(fc.nat(15), fc.nat(60 * 5)),
    }),
  ),
  weighted(
    12,
    fc.record({
      kind: fc.constant("call" as const),
      calls: fc.array(call, { minLength: 1, maxLength: 3 }),
      crash: fc.option(fc.record({ replica: number, afterTurns: fc.nat(4) }), {
        nil: undefined,
        freq: 8,
      }),
    }),
  ),
  weighted(
    3,
    fc.record({
      kind: fc.constant("pod" as const),
      pod: number,
      change: fc.constantFrom("delete" as const, "create" as const, "replace" as const),
    }),
  ),
  weighted(
    5,
    fc.record({
      kind: fc.constantFrom(
        ...(["stop", "start", "start", "restart"] as const),
        ...(["cut off", "reach", "reach", "unwatch", "watch", "watch"] as const),
      ),
      replica: number,
    }),
  ),
  weighted(
    1,
    fc.record({
      kind: fc.constantFrom(
        "stop all" as const,
        "start all" as const,
        "start all" as const,
        "restart all" as const,
      ),
    }),
  ),
  weighted(
    2,
    fc.record({
      kind: fc.constantFrom("hide pods" as const, "show pods" as const),
      replica: number,
    }),
  ),
  weighted(
    2,
    fc.record({
      kind: fc.constant("slow" as const),
      replica: number,
      turns: fc.array(fc.nat(9), { maxLength: 5 }),
    }),
  ),
  weighted(1, fc.record({ kind: fc.constant("lose answer" as const), replica: number })),
  weighted(1, fc.record({ kind: fc.constant("clock" as const), replica: number, offset: number })),
  weighted(1, fc.record({ kind: fc.constant("outage" as const), minutes: fc.nat(90) })),
  weighted(
    4,
    fc.record({
      kind: fc.constant("document" as const),
      edit: fc.constantFrom(...edits),
      choice: fc.nat(500),
    }),
  ),
  weighted(
    2,
    fc.record({
      kind: fc.constant("conflict" as const),
      edit: fc.constantFrom("touch" as const, "touch" as const, ...edits),
      choice: fc.nat(500),
    }),
  ),
);

Deno.test("in any schedule a denied pod that exists receives nothing from a replica that knows the denial, denials of pods that are gone end, and the replicas converge", async () => {
  const totals: Record<string, number> = {};
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 15, maxLength: 60, size: "max" }),
      async (steps) => {
        await using model = new DenialModel(material, request);
        for (const step of steps) {
          await model.perform(step);
          assert.deepEqual(model.contradictions(), [], JSON.stringify(step));
        }
        await model.converge();
        assert.deepEqual([...model.contradictions(), ...model.unmet()], []);
        assert.equal(new Set(model.lists()).size, 1, model.lists().join("\n"));
        for (const [kind, count] of Object.entries(model.counts)) {
          totals[kind] = (totals[kind] ?? 0) + count;
        }
      },
    ),
    runs(30),
  );
  // The schedules contain what the claims are about.
  for (const [kind, count] of Object.entries(totals)) assert.ok(count > 0, kind);
});
