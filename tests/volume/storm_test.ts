import assert from "node:assert/strict";
import { TestNode } from "../support/node.ts";

Deno.test("of many volumes published at once 32 ask the service, and a call that ends while it waits asks nobody", async () => {
  await using node = await TestNode.create();
  const go = Promise.withResolvers<void>();
  node.issuer.answer = async (request) => {
    await go.promise;
    return await node.issuer.sign(request);
  };
  const requests = [];
  for (let count = 0; count < 60; count++) {
    requests.push(await node.request({ "key-algorithm": "ed25519" }));
  }
  const ending = new AbortController();
  const given = requests.map((request, index) =>
    index === 59 ? node.publish(request, ending.signal) : node.publish(request)
  );
  await node.clock.until(() => node.issuer.requests.length === 32);
  for (let turns = 0; turns < 100; turns++) await node.clock.advance({ milliseconds: 0 });
  assert.equal(node.issuer.requests.length, 32, "the others wait");
  ending.abort(new Error("the call has ended"));
  await assert.rejects(given.pop()!, /the call has ended/);
  go.resolve();
  for (const outcome of await Promise.all(given)) assert.deepEqual(outcome, { kind: "done" });
  assert.equal(node.issuer.requests.length, 59);
  assert.equal(node.table.size, 59);
});

Deno.test("of many volumes published at once, and taken away at once, no two are looked at, mounted or unmounted in one turn of the event loop", async () => {
  await using node = await TestNode.create();
  let turn = 0;
  let isOver = false;
  const count = () => {
    turn++;
    if (!isOver) setImmediate(count);
  };
  const turns = { look: [] as number[], publish: [] as number[], unpublish: [] as number[] };
  const lookedAt = new Set<string>();
  const { mounter } = node;
  node.mounter = Object.assign(Object.create(mounter) as typeof mounter, {
    state: (targetPath: string) => {
      if (!lookedAt.has(targetPath)) turns.look.push(turn);
      lookedAt.add(targetPath);
      return mounter.state(targetPath);
    },
    publish: (...given: Parameters<typeof mounter.publish>) => {
      turns.publish.push(turn);
      return mounter.publish(...given);
    },
    unpublish: (targetPath: string) => {
      turns.unpublish.push(turn);
      return mounter.unpublish(targetPath);
    },
  });
  node.start();
  const requests = [];
  for (let count = 0; count < 40; count++) {
    requests.push(await node.request({ "key-algorithm": "ed25519" }));
  }
  setImmediate(count);
  await Promise.all(requests.map((request) => node.publish(request)));
  await Promise.all(requests.map((request) => node.publisher.unpublish(request)));
  isOver = true;
  for (const [name, passed] of Object.entries(turns)) {
    assert.equal(passed.length, 40);
    assert.equal(new Set(passed).size, 40, name);
  }
  assert.equal(node.table.size, 0);
});
