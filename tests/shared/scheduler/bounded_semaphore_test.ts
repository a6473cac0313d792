import assert from "node:assert/strict";
import { BoundedSemaphore } from "../../../src/shared/scheduler/semaphore.ts";
import { turn } from "../../../scripts/support/fake_clock.ts";
import { never } from "../../service/kubernetes/kubernetes_fixture.ts";

/** Work that goes on until it is told to end. */
function work(log: string[], name: string) {
  const { promise, resolve } = Promise.withResolvers<string>();
  const run = () => {
    log.push(name);
    return promise;
  };
  return { run, end: () => resolve(name) };
}

Deno.test("work over the bound waits for its turn in order, and over the second bound is turned away", async () => {
  const gate = new BoundedSemaphore({ concurrency: 1, capacity: 2 });
  const log: string[] = [];
  const [a, b, c] = ["a", "b", "c"].map((name) => work(log, name));
  assert(a && b && c);
  const results = [a, b, c].map(({ run }) => gate.run(run, never));
  assert.equal(await gate.run(() => Promise.resolve("d"), never), undefined);
  assert.deepEqual(log, ["a"]);
  a.end();
  await results[0];
  await turn();
  assert.deepEqual(log, ["a", "b"]);
  b.end();
  c.end();
  assert.deepEqual(await Promise.all(results), [{ value: "a" }, { value: "b" }, { value: "c" }]);
  assert.deepEqual(await gate.run(() => Promise.resolve("e"), never), { value: "e" });
});

Deno.test("who leaves while waiting gives up its place, and who fails frees it", async () => {
  const gate = new BoundedSemaphore({ concurrency: 1, capacity: 2 });
  const log: string[] = [];
  const [a, b] = ["a", "b"].map((name) => work(log, name));
  assert(a && b);
  const first = gate.run(a.run, never);
  const leaving = new AbortController();
  const left = gate.run(b.run, leaving.signal);
  const failing = gate.run(() => Promise.reject(new Error("failed")), never);
  leaving.abort(new Error("left"));
  await assert.rejects(left, /left/);
  a.end();
  await first;
  await assert.rejects(failing, /failed/);
  assert.deepEqual(log, ["a"]);
  assert.deepEqual(await gate.run(() => Promise.resolve(1), never), { value: 1 });
  await assert.rejects(gate.run(b.run, AbortSignal.abort(new Error("gone"))), /gone/);
});
