import assert from "node:assert/strict";
import type { CaSourceContent } from "../../../src/service/ca/ca_source.ts";
import { deriveNodeCa } from "../../../src/service/x509/node_ca.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { openReplica, trustDomain } from "./replica.ts";
import { makeSecret, ScriptedDocument, start } from "./rotation_fixture.ts";

const clusterId = "1f8fad5b-d9cb-469f-a165-70867728950e";
const [secretA, secretB] = await Promise.all([
  makeSecret("A", { clusterId }),
  makeSecret("B", { clusterId }),
]);
/** B, as `init-ca --rotate` writes it. */
const rotated: CaSourceContent = { ...secretB, former: secretA };
const statusOf = ({ caController }: ReturnType<typeof openReplica>) =>
  caController.statusLines().join("\n");

async function nodeKeyOf({ privateKeyPem }: CaSourceContent): Promise<string> {
  const nodeCa = await deriveNodeCa(privateKeyPem, { trustDomain, clusterId });
  return nodeCa?.certificate.spki.toHex() ?? "";
}

const nodeKeys = { A: await nodeKeyOf(secretA), B: await nodeKeyOf(secretB) };

/** The node CA that issues, and those that are accepted, by the CA whose key they are derived from. */
function nodesOf({ nodeCas }: ReturnType<typeof openReplica>): string {
  const nameOf = (spki: Uint8Array | undefined) =>
    Object.entries(nodeKeys).find(([, key]) => key === spki?.toHex())?.[0] ?? "none";
  const accepted = nodeCas.certificates.map(({ spki }) => nameOf(spki)).toSorted().join("");
  return `${nameOf(nodeCas.issuing?.certificate.spki)} of ${accepted}`;
}

/** A document in which A signs and B is published, for four minutes. */
async function rotating(document: ScriptedDocument, clock: FakeClock): Promise<void> {
  await using before = openReplica({ clock, document });
  before.source.hold(secretA);
  await clock.until(() => before.signs() === "A");
  before.source.hold(rotated);
  await clock.until(() => before.trusts() === "A,B");
  await clock.advance({ minutes: 4 });
}

Deno.test("a restart during the delay signs with the former CA until the instant that was agreed", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  await rotating(document, clock);
  await using restarted = openReplica({ clock, document });
  restarted.source.hold(rotated);
  await clock.until(() => restarted.signs() === "A");
  assert.equal(restarted.trusts(), "A,B");
  assert.equal(nodesOf(restarted), "A of AB");
  await clock.advance({ minutes: 5, seconds: 59 });
  assert.equal(restarted.signs(), "A");
  await clock.advance({ seconds: 1 });
  await clock.until(() => restarted.signs() === "B");
  assert.equal(nodesOf(restarted), "B of AB");
  // The former pair stays in the Secret, and changes nothing.
  await clock.advance({ hours: 721 });
  await clock.until(() => restarted.trusts() === "B");
  await clock.advance({ hours: 2 });
  assert.equal(nodesOf(restarted), "B of B");
});

Deno.test("a restart after the switch accepts nodes' certificates of the former CA while its root is trusted", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  await rotating(document, clock);
  await clock.advance({ minutes: 10 });
  await using restarted = openReplica({ clock, document });
  restarted.source.hold(rotated);
  await clock.until(() => restarted.signs() === "B");
  assert.equal(nodesOf(restarted), "B of AB");
});

Deno.test("with the document lost as well, the rotation begins again, and the former root remains trusted", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  await rotating(document, clock);
  document.put(undefined);
  await using restarted = openReplica({ clock, document });
  restarted.source.hold(rotated);
  await clock.until(() => restarted.signs() === "A");
  assert.equal(restarted.trusts(), "A,B");
  await clock.advance({ minutes: 10 });
  await clock.until(() => restarted.signs() === "B");
  assert.equal(restarted.trusts(), "A,B");
});

Deno.test("a former CA whose key is compromised does not sign, and its root is not trusted", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  await rotating(document, clock);
  await using restarted = openReplica({ clock, document });
  restarted.source.hold({ ...rotated, compromised: true });
  await clock.until(() => restarted.signs() === "B");
  assert.deepEqual([restarted.trusts(), nodesOf(restarted)], ["B", "B of B"]);
  // Without the annotation the former pair is still in the list.
  restarted.source.hold(rotated);
  await clock.advance({ minutes: 1 });
  assert.deepEqual([restarted.trusts(), nodesOf(restarted)], ["B", "B of B"]);
});

Deno.test("a former pair that cannot be used is reported, and the CA is used without it", async () => {
  await using one = openReplica();
  one.source.hold({ ...secretB, former: { ...secretA, privateKeyPem: secretB.privateKeyPem } });
  await one.clock.until(() => one.signs() === "B");
  assert.match(statusOf(one), /the former CA cannot be used: the CA's key does not belong/);
  assert.equal(one.trusts(), "B");
});

Deno.test("a new CA that cannot be used leaves the former one signing, also after a restart", async () => {
  const clock = new FakeClock(start);
  const document = new ScriptedDocument();
  {
    await using before = openReplica({ clock, document });
    before.source.hold(secretA);
    await clock.until(() => before.signs() === "A");
  }
  await using restarted = openReplica({ clock, document });
  restarted.source.hold({ ...rotated, privateKeyPem: secretA.privateKeyPem });
  await clock.until(() => restarted.signs() === "A");
  assert.match(statusOf(restarted), /the new CA cannot be used: the CA's key does not belong/);
});
