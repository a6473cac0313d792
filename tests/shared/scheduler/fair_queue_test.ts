import assert from "node:assert/strict";
import { FairQueue } from "../../../src/shared/scheduler/fair_queue.ts";
import { FakeClock, turn } from "../../../scripts/support/fake_clock.ts";
import { never } from "../../support/service_fixture.ts";

/** Work that lasts until the test ends it, in a queue that does one thing at a time. */
function openQueue(capacity = 100, concurrency = 1, capacityPerKey = capacity) {
  const clock = new FakeClock();
  const queue = new FairQueue({ clock, concurrency, capacity, capacityPerKey });
  const started: string[] = [];
  const open: PromiseWithResolvers<void>[] = [];
  const run = (key: string, name = key, signal = never) =>
    queue.run(key, async () => {
      started.push(name);
      const work = Promise.withResolvers<void>();
      open.push(work);
      await work.promise;
      return name;
    }, signal);
  const endOne = async () => {
    open.shift()?.resolve();
    // What starts in another turn has started after it.
    await turn();
    await turn();
  };
  const endAll = async () => {
    while (open.length > 0) await endOne();
  };
  return { clock, queue, started, run, endOne, endAll };
}

Deno.test("no more work runs at once than is allowed", async () => {
  const { queue, started, run, endOne, endAll } = openQueue(100, 2);
  const all = [run("a", "1"), run("a", "2"), run("a", "3")];
  await turn();
  assert.deepEqual(started, ["1", "2"]);
  assert.deepEqual([queue.running, queue.waiting], [2, 1]);
  await endOne();
  assert.deepEqual(started, ["1", "2", "3"]);
  await endAll();
  assert.deepEqual((await Promise.all(all)).map(({ kind }) => kind), ["done", "done", "done"]);
  assert.deepEqual([queue.running, queue.waiting], [0, 0]);
});

Deno.test("a node with many requests does not make another one wait", async () => {
  const { started, run, endAll } = openQueue();
  const greedy = Array.from({ length: 5 }, (_, at) => run("greedy", `greedy ${at}`));
  const modest = run("modest");
  await endAll();
  await Promise.all([...greedy, modest]);
  await turn();
  assert(started.indexOf("modest") <= 2, started.join());
});

Deno.test("in a full queue the longest line gives way to a shorter one", async () => {
  const { run, endAll } = openQueue(4);
  const greedy = Array.from({ length: 5 }, (_, at) => run("greedy", `greedy ${at}`));
  const more = await run("greedy", "one too many");
  assert.equal(more.kind, "overloaded");
  const modest = run("modest");
  assert.equal((await greedy[4])?.kind, "overloaded");
  await endAll();
  assert.equal((await modest).kind, "done");
  assert.deepEqual((await Promise.all(greedy.slice(0, 4))).map(({ kind }) => kind), [
    "done",
    "done",
    "done",
    "done",
  ]);
});

Deno.test("a key over its own bound is rejected while the queue has room for others", async () => {
  const { queue, run, endAll } = openQueue(100, 1, 3);
  const greedy = Array.from({ length: 4 }, () => run("greedy"));
  assert.equal((await run("greedy")).kind, "overloaded");
  assert.equal(queue.waiting, 3);
  const modest = run("modest");
  await endAll();
  for (const result of await Promise.all([...greedy, modest])) assert.equal(result.kind, "done");
});

Deno.test("work that fails gives its place on and fails for its caller alone", async () => {
  const { queue, run, endAll } = openQueue();
  const failing = queue.run("a", () => Promise.reject(new Error("broken")), never);
  const next = run("b");
  await assert.rejects(failing, /broken/);
  await endAll();
  assert.equal((await next).kind, "done");
});

Deno.test("work whose caller gives up while it waits is removed from the queue", async () => {
  const { queue, started, run, endAll } = openQueue();
  const first = run("a");
  const controller = new AbortController();
  const second = run("a", "second", controller.signal);
  controller.abort(new Error("gone"));
  await assert.rejects(second, /gone/);
  assert.equal(queue.waiting, 0);
  await assert.rejects(run("b", "third", controller.signal), /gone/);
  await endAll();
  assert.equal((await first).kind, "done");
  assert.deepEqual(started, ["a"]);
});

Deno.test("the advice when to come again grows with what waits", async () => {
  const { clock, run, endOne, endAll } = openQueue(50);
  const all = Array.from({ length: 51 }, () => run("a"));
  await turn();
  for (let count = 0; count < 20; count++) {
    await clock.advance({ seconds: 2 });
    await endOne();
  }
  all.push(...Array.from({ length: 20 }, () => run("a")));
  const turnedAway = await run("a");
  assert(turnedAway.kind === "overloaded");
  const seconds = turnedAway.retryAfter.total("seconds");
  assert(seconds > 1 && seconds <= 30, `${seconds}`);
  await endAll();
  await Promise.all(all);
});

Deno.test("work that ends at once does not block the event loop, and all of it is done", async () => {
  const queue = new FairQueue({ clock: new FakeClock(), concurrency: 2 });
  let done = 0;
  const inFirstTurn = turn().then(() => done);
  const work = () => Promise.resolve(done++);
  const all = Array.from({ length: 200 }, () => queue.run("a", work, never));
  const first = await inFirstTurn;
  assert.ok(first > 2 && first < 50, String(first));
  await Promise.all(all);
  assert.equal(done, 200);
  assert.deepEqual([queue.running, queue.waiting], [0, 0]);
});
