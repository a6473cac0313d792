import assert from "node:assert/strict";
import { CertificateRequester } from "../../../src/driver/certificates/certificate_requester.ts";
import { KeyGenerator } from "../../../src/driver/certificates/key_generator.ts";
import { countTurns } from "../../support/count_turns.ts";
import { TestNode } from "../../support/node.ts";

Deno.test("of many volumes published at once 32 request a certificate, and a call that ends while it waits requests none", async () => {
  await using node = await TestNode.create();
  const released = Promise.withResolvers<void>();
  node.issuer.answer = async (request) => {
    await released.promise;
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
  released.resolve();
  for (const outcome of await Promise.all(given)) assert.deepEqual(outcome, { kind: "done" });
  assert.equal(node.issuer.requests.length, 59);
  assert.equal(node.table.size, 59);
});

Deno.test("answers that arrive together are verified in a turn of the event loop each", async () => {
  await using node = await TestNode.create();
  const { clock, issuer } = node;
  let signed = 0;
  const all = Promise.withResolvers<void>();
  issuer.answer = async (request) => {
    const answer = await issuer.sign(request);
    if (++signed === 20) all.resolve();
    await all.promise;
    return answer;
  };
  using turn = countTurns();
  const checks: number[] = [];
  const watched = {
    after: clock.after.bind(clock),
    now: clock.now.bind(clock),
    moment: () => {
      checks.push(turn.now);
      return clock.moment();
    },
  };
  const source = new CertificateRequester(issuer, new KeyGenerator(clock), watched);
  const requests = [];
  for (let count = 0; count < 20; count++) {
    requests.push(await node.request({ "key-algorithm": "ed25519" }));
  }
  const { signal } = new AbortController();
  const parameters = requests.map((request) => ({
    ...request,
    predecessor: undefined,
    privateKeyPem: undefined,
  }));
  const outcomes = await Promise.all(parameters.map((each) => source.issue(each, signal)));
  assert.ok(outcomes.every(({ kind }) => kind === "issued"));
  assert.equal(new Set(checks).size, 20);
});
