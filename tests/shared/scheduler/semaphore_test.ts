import assert from "node:assert/strict";
import { Semaphore } from "../../../src/shared/scheduler/semaphore.ts";
import { turn } from "../../../scripts/support/fake_clock.ts";

const never = new AbortController().signal;

Deno.test("no more than the bound are let in, and the others in the order of their coming", async () => {
  const turns = new Semaphore(2);
  const order: number[] = [];
  const held: Disposable[] = [];
  const all = Array.from({ length: 5 }, async (_, index) => {
    held.push(await turns.acquire(never));
    order.push(index);
  });
  await turn();
  assert.deepEqual([order, turns.waiting], [[0, 1], 3]);
  while (held.length > 0) {
    held.shift()?.[Symbol.dispose]();
    await turn();
  }
  await Promise.all(all);
  assert.deepEqual(order, [0, 1, 2, 3, 4]);
});

Deno.test("a caller that is aborted stops waiting and takes no permit from the next one", async () => {
  const turns = new Semaphore(1);
  const first = await turns.acquire(never);
  const leaving = new AbortController();
  const second = turns.acquire(leaving.signal);
  const third = turns.acquire(never);
  leaving.abort(new Error("the call has ended"));
  await assert.rejects(second, /the call has ended/);
  first[Symbol.dispose]();
  (await third)[Symbol.dispose]();
  assert.equal(turns.waiting, 0);
  await assert.rejects(turns.acquire(leaving.signal), /the call has ended/);
});

Deno.test("a permit that is released twice admits one caller, not two", async () => {
  const turns = new Semaphore(1);
  const first = await turns.acquire(never);
  const second = turns.acquire(never);
  const third = turns.acquire(never);
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  const held = await second;
  assert.equal(turns.waiting, 1);
  held[Symbol.dispose]();
  (await third)[Symbol.dispose]();
});
