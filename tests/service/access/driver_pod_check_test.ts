import assert from "node:assert/strict";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import {
  DriverPodCheck,
  type DriverPodDirectory,
} from "../../../src/service/access/driver_pod_check.ts";

type Answer = Awaited<ReturnType<DriverPodDirectory["runs"]>>;

const runs: Answer = { kind: "answer", runs: true };
const isGone: Answer = { kind: "answer", runs: false };
const isAway: Answer = { kind: "unavailable", problem: "the API server does not answer" };

function open() {
  const clock = new FakeClock();
  const calls: string[] = [];
  const state = { answer: runs };
  const directory: DriverPodDirectory = {
    runs: ({ node, uid }) => {
      calls.push(`${node} ${uid}`);
      return Promise.resolve(state.answer);
    },
  };
  const check = new DriverPodCheck({ directory, clock });
  const { signal } = new AbortController();
  return {
    clock,
    calls,
    state,
    confirm: async (uid = "uid-1") => (await check.confirm("node-1", uid, signal)).kind,
  };
}

Deno.test("a driver's pod is confirmed once a minute, and once for concurrent calls", async () => {
  const { clock, calls, confirm } = open();
  const answers = await Promise.all([confirm(), confirm(), confirm()]);
  assert.deepEqual(answers, ["confirmed", "confirmed", "confirmed"]);
  await clock.advance({ seconds: 59 });
  assert.equal(await confirm(), "confirmed");
  assert.equal(calls.length, 1);
  await clock.advance({ seconds: 1 });
  assert.equal(await confirm(), "confirmed");
  assert.deepEqual(calls, ["node-1 uid-1", "node-1 uid-1"]);
});

Deno.test("a pod that is gone is denied after at most a minute, and another pod of its node is not", async () => {
  const { clock, state, confirm } = open();
  assert.equal(await confirm(), "confirmed");
  state.answer = isGone;
  assert.equal(await confirm(), "confirmed");
  await clock.advance({ seconds: 60 });
  assert.equal(await confirm(), "unauthenticated");
  state.answer = runs;
  assert.equal(await confirm("uid-2"), "confirmed");
  assert.equal(await confirm(), "unauthenticated");
});

Deno.test("while the API server fails, the last answer is used for ten minutes", async () => {
  const { clock, calls, state, confirm } = open();
  assert.equal(await confirm(), "confirmed");
  state.answer = isAway;
  await clock.advance({ minutes: 9 });
  assert.equal(await confirm(), "confirmed");
  // Callers do not wait for the failing server again.
  assert.equal(await confirm(), "confirmed");
  assert.equal(calls.length, 2);
  await clock.advance({ minutes: 1 });
  assert.equal(await confirm(), "unavailable");
  assert.equal(await confirm("uid-2"), "unavailable");
  state.answer = runs;
  assert.equal(await confirm(), "confirmed");
});

Deno.test("an old answer is not used for longer when the wall clock is set back", async () => {
  const { clock, calls, confirm } = open();
  await confirm();
  clock.set(clock.now().subtract({ hours: 1 }));
  await confirm();
  assert.equal(calls.length, 2);
});

Deno.test("a cancelled call does not affect the others that wait for the same look-up", async () => {
  const clock = new FakeClock();
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const check = new DriverPodCheck({ directory: { runs: () => promise }, clock });
  const leaving = new AbortController();
  const first = check.confirm("node-1", "uid-1", leaving.signal);
  const second = check.confirm("node-1", "uid-1", new AbortController().signal);
  leaving.abort(new Error("left"));
  await assert.rejects(first, /left/);
  resolve(runs);
  assert.equal((await second).kind, "confirmed");
});
