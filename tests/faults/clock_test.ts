import assert from "node:assert/strict";
import { TestNode } from "../support/node.ts";
import type { Volume } from "../../src/driver/volume/volume_record.ts";

const idle = (node: TestNode) => node.clock.until(() => node.scheduler.running === 0);

/** Shorter than a request to the service may take, so that a request ends in the step in which it begins. */
const stepSeconds = 10;

/** Lets a number of minutes pass, step by step. */
async function pass(node: TestNode, minutes: number): Promise<void> {
  for (let seconds = 0; seconds < minutes * 60; seconds += stepSeconds) {
    await node.clock.advance({ seconds: stepSeconds });
    await idle(node);
  }
}

async function published(node: TestNode): Promise<Volume> {
  await node.restart();
  const request = await node.request({ duration: "100h" });
  assert.deepEqual(await node.publish(request), { kind: "done" });
  return request;
}

/** The service's answers are for the true time, whichever time this node's clock shows. */
function keepServiceOnTime(node: TestNode, offset: () => Temporal.Duration): void {
  node.issuer.answer = async (request) => {
    const wrong = node.clock.now();
    node.clock.set(wrong.subtract(offset()));
    try {
      return await node.issuer.sign(request);
    } finally {
      node.clock.set(node.clock.now().add(offset()));
    }
  };
}

const steps = { "an hour": { hours: 1 }, "a day": { hours: 24 }, "a year": { hours: 8760 } };

for (const [name, step] of Object.entries(steps)) {
  for (const direction of ["ahead", "behind"] as const) {
    Deno.test(`a node's clock ${name} ${direction} for two hours, and back: the volume is whole throughout and renewed on time`, async () => {
      await using node = await TestNode.create();
      const request = await published(node);
      const signed = Temporal.Duration.from(step);
      const offset = direction === "ahead" ? signed : signed.negated();
      let current = new Temporal.Duration();
      keepServiceOnTime(node, () => current);
      node.clock.set(node.clock.now().add(offset));
      current = offset;
      for (let quarter = 0; quarter < 8; quarter++) {
        await pass(node, 15);
        assert.ok(await node.leaf(request), "a certificate is there");
        const leaf = await node.leaf(request);
        const isCurrent = Temporal.Instant.compare(leaf.notAfter, node.clock.now()) > 0;
        if (isCurrent) assert.deepEqual(await node.publish(request), { kind: "done" });
      }
      node.clock.set(node.clock.now().subtract(offset));
      current = new Temporal.Duration();
      await pass(node, 20);
      assert.deepEqual(await node.publish(request), { kind: "done" });
      const leaf = await node.leaf(request);
      assert.ok(leaf.notAfter.since(node.clock.now()).total("hours") > 50);
      const next = node.scheduler.nextRun(request.volumeId)!;
      assert.ok(
        Temporal.Instant.compare(next, leaf.notAfter) < 0,
        "its renewal is planned in time",
      );
      assert.equal(node.renewer.failures(request.volumeId), 0);
      const { records } = await node.store.load();
      assert.deepEqual(records.map(({ serialNumber }) => serialNumber), [leaf.serialNumber]);
      await pass(node, 60 * 100);
      const renewed = await node.leaf(request);
      assert.notEqual(renewed.serialNumber, leaf.serialNumber, "it renews as ever");
      assert.ok(node.issuer.requests.length < 60, `${node.issuer.requests.length} certificates`);
    });
  }
}

Deno.test("a cluster's clock a day ahead, and back: what was issued in the future is issued again", async () => {
  await using node = await TestNode.create();
  await node.restart();
  node.clock.set(node.clock.now().add({ hours: 24 }));
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  node.clock.set(node.clock.now().subtract({ hours: 24 }));
  await pass(node, 6);
  const leaf = await node.leaf(request);
  assert.notEqual(leaf.serialNumber, serialNumber);
  assert.ok(Temporal.Instant.compare(leaf.notBefore, node.clock.now()) < 0);
});

Deno.test("a node that slept for a day over its renewal renews within a minute of waking", async () => {
  await using node = await TestNode.create();
  const request = await published(node);
  const { serialNumber } = await node.leaf(request);
  await pass(node, 60 * 70);
  assert.equal((await node.leaf(request)).serialNumber, serialNumber);
  // Timers stop while the machine sleeps; the wall clock does not.
  node.clock.set(node.clock.now().add({ hours: 24 }));
  await pass(node, 1);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
});
