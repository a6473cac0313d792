import assert from "node:assert/strict";
import { LeafSigner } from "../../../src/service/issuing/leaf_signer.ts";
import { generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { settled } from "../../support/settled.ts";
import { openReplica } from "./replica.ts";
import { makeSecret, ScriptedDocument, start } from "./rotation_fixture.ts";

const [secretA, secretB] = await Promise.all([makeSecret("A"), makeSecret("B")]);

Deno.test("without a CA nothing is signed, and once it appears it is", async () => {
  await using one = openReplica();
  one.source.report({ kind: "absent" });
  await one.clock.until(() =>
    /does not exist: create Secret/.test(one.currentCa.unavailableReason)
  );
  assert.equal(one.signs(), undefined);
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  assert.deepEqual(await one.caController.firstResult, { problem: undefined });
});

Deno.test("a new CA is trusted at once, signs ten minutes later, and the old root is removed in the end", async () => {
  const document = new ScriptedDocument();
  await using one = openReplica({ document });
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  await one.clock.advance({ hours: 1 });
  one.source.hold(secretB);
  await one.clock.until(() => one.trusts() === "A,B");
  assert.equal(document.text?.data["ca.crt"], secretA.certificatePem + secretB.certificatePem);
  assert.match(
    one.caController.statusLines().join("\n"),
    /published, and signs from 2026-03-01T13:10:00Z on/,
  );
  await one.clock.advance({ minutes: 9, seconds: 59 });
  assert.equal(one.signs(), "A");
  await one.clock.advance({ seconds: 1 });
  await one.clock.until(() => one.signs() === "B");
  assert.equal(one.trusts(), "A,B");
  await one.clock.advance({ hours: 720, minutes: 4 });
  assert.equal(one.trusts(), "A,B");
  await one.clock.advance({ minutes: 2 });
  await one.clock.until(() => one.trusts() === "B");
  assert.equal(document.text?.data["ca.crt"], secretB.certificatePem);
});

Deno.test("a CA that cannot be used is reported with the reason, the previous one remains in use, and a good one is accepted", async () => {
  await using one = openReplica();
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  one.source.hold({ ...secretB, privateKeyPem: secretA.privateKeyPem });
  await one.clock.until(() =>
    /cannot be used: the CA's key does not belong/.test(one.caController.statusLines().join())
  );
  await one.clock.advance({ hours: 1 });
  assert.deepEqual([one.signs(), one.trusts()], ["A", "A"]);
  one.source.hold(secretB);
  await one.clock.until(() => one.trusts() === "A,B");
  assert.doesNotMatch(one.caController.statusLines().join(), /cannot be used/);
});

Deno.test("a CA that is not valid yet is used once it is valid", async () => {
  await using one = openReplica();
  const at = start.add({ minutes: 6 });
  one.source.hold(await makeSecret("Early", { at }));
  const { problem } = await settled(one.clock, one.caController.firstResult);
  assert.match(String(problem), /is not valid before/);
  await one.clock.advance({ minutes: 2 });
  await one.clock.until(() => one.signs() === "Early");
});

Deno.test("a deleted Secret changes nothing, and is reported", async () => {
  await using one = openReplica();
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  one.source.report({ kind: "absent" });
  await one.clock.until(() => /does not exist/.test(one.caController.statusLines().join()));
  assert.equal(one.signs(), "A");
  one.source.report({ kind: "unavailable", problem: "connection refused" });
  await one.clock.until(() =>
    /cannot be read: connection refused/.test(one.caController.statusLines().join())
  );
  one.source.hold(secretA);
  await one.clock.until(() => one.caController.statusLines().length === 1);
});

Deno.test("after a compromised key the new CA signs at once, even while the document is not available", async () => {
  const document = new ScriptedDocument();
  await using one = openReplica({ document });
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  document.failure = "the API server does not answer";
  one.source.hold({ ...secretB, compromised: true });
  await one.clock.until(() => one.signs() === "B" && one.trusts() === "B");
  document.failure = undefined;
  await one.clock.advance({ minutes: 1 });
  await one.clock.until(() => document.text?.data["ca.crt"] === secretB.certificatePem);
});

Deno.test("a new CA does not sign before it could be published, and is published when it can be", async () => {
  const document = new ScriptedDocument();
  await using one = openReplica({ document });
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  document.failure = "the API server does not answer";
  one.source.hold(secretB);
  await one.clock.until(() => one.errors.length > 0);
  await one.clock.advance({ hours: 1 });
  assert.deepEqual([one.signs(), one.trusts()], ["A", "A"]);
  document.failure = undefined;
  await one.clock.advance({ minutes: 6 });
  await one.clock.until(() => one.trusts() === "A,B");
  assert.equal(one.signs(), "A");
});

Deno.test("two replicas switch at one instant, and each publishes what the other has received", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  await using one = openReplica({ clock, document });
  await using two = openReplica({ clock, document });
  for (const { source } of [one, two]) source.hold(secretA);
  await clock.until(() => one.signs() === "A" && two.signs() === "A");
  one.source.hold(secretB);
  await clock.until(() => one.trusts() === "A,B" && two.trusts() === "A,B");
  await clock.advance({ minutes: 3 });
  two.source.hold(secretB);
  await clock.advance({ minutes: 6 });
  assert.deepEqual([one.signs(), two.signs()], ["A", "A"]);
  await clock.advance({ minutes: 1 });
  await clock.until(() => one.signs() === "B" && two.signs() === "B");
});

Deno.test("a replica that never sees the new CA signs with the old one, not past its root's retirement", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  await using one = openReplica({ clock, document });
  await using two = openReplica({ clock, document });
  for (const { source } of [one, two]) source.hold(secretA);
  await clock.until(() => one.signs() === "A" && two.signs() === "A");
  one.source.hold(secretB);
  await clock.until(() => two.trusts() === "A,B");
  await clock.advance({ minutes: 10 });
  await clock.until(() => one.signs() === "B");
  assert.equal(two.signs(), "A");
  assert.equal(String(two.currentCa.material?.retireAt), "2026-03-31T12:15:00Z");
  await clock.advance({ hours: 1 });
  const leaf = await new LeafSigner({ currentCa: two.currentCa, clock }).sign({
    publicKey: (await generateKeyPair("ecdsa-p256")).publicKey,
    names: { commonName: "a", dnsNames: [], ipAddresses: [], uris: [], organizationalUnits: [] },
    validity: Temporal.Duration.from({ hours: 720 }),
    extendedKeyUsage: ["serverAuth"],
  });
  assert(leaf.kind === "signed");
  assert.equal(String(leaf.notAfter), "2026-03-31T12:15:00Z");
  await clock.advance({ hours: 721 });
  await clock.until(() => two.trusts() === "B");
  assert.equal(two.signs(), undefined);
  assert.match(two.currentCa.unavailableReason, /has not read the CA that signs now/);
});

Deno.test("a write of another replica in between is kept, not overwritten", async () => {
  const document = new ScriptedDocument();
  await using one = openReplica({ document });
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  const other = new ScriptedDocument();
  await using two = openReplica({ document: other });
  two.source.hold({ ...secretA, furtherAnchorsPem: (await makeSecret("C")).certificatePem });
  await two.clock.until(() => two.signs() === "A");
  document.beforeWrite = (document) => document.put({ ...other.text?.data });
  one.source.hold(secretB);
  await one.clock.until(() => one.trusts() === "A,C,B");
});

Deno.test("a restart during the delay waits for the instant that was agreed, as the old key is gone", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  {
    await using before = openReplica({ clock, document });
    before.source.hold(secretA);
    await clock.until(() => before.signs() === "A");
    before.source.hold(secretB);
    await clock.until(() => before.trusts() === "A,B");
  }
  await clock.advance({ minutes: 4 });
  await using restarted = openReplica({ clock, document });
  restarted.source.hold(secretB);
  await clock.until(() => restarted.trusts() === "A,B");
  assert.equal(restarted.signs(), undefined);
  assert.match(restarted.currentCa.unavailableReason, /the CA signs from 2026-03-01T12:10:00Z on/);
  await clock.advance({ minutes: 6 });
  await clock.until(() => restarted.signs() === "B");
});

Deno.test("a document that is deleted or broken is written again from what is known", async () => {
  const document = new ScriptedDocument();
  await using one = openReplica({ document });
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  const before = document.text?.data;
  for (const data of [undefined, {}, { "state.json": "{", "ca.crt": "" }]) {
    document.put(data);
    await one.clock.until(() => document.text?.data["state.json"] === before?.["state.json"]);
    assert.equal(one.signs(), "A");
  }
});

Deno.test("a CA that must not sign for pods is reported as one that cannot be used", async () => {
  await using one = openReplica({
    check: () => Promise.resolve("it shares its key with the nodes' CA"),
  });
  one.source.hold(secretA);
  await one.clock.until(() => /shares its key/.test(one.caController.statusLines().join()));
  assert.deepEqual(await one.caController.firstResult, {
    problem: "it shares its key with the nodes' CA",
  });
  assert.equal(one.signs(), undefined);
});
