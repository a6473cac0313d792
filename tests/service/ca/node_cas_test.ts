import assert from "node:assert/strict";
import type { CaSourceContent } from "../../../src/service/ca/ca_source.ts";
import { deriveNodeCa } from "../../../src/service/x509/node_ca.ts";
import { openReplica, trustDomain } from "./replica.ts";
import { makeSecret } from "./rotation_fixture.ts";

const clusterId = "0f8fad5b-d9cb-469f-a165-70867728950e";
const [secretA, secretB] = await Promise.all(
  ["A", "B"].map((name) => makeSecret(name, { clusterId })),
) as [CaSourceContent, CaSourceContent];

async function spkiOf({ privateKeyPem }: CaSourceContent, id = clusterId): Promise<string> {
  const nodeCa = await deriveNodeCa(privateKeyPem, { trustDomain, clusterId: id });
  assert.ok(nodeCa);
  return nodeCa.certificate.spki.toHex();
}

const [nodeA, nodeB] = [await spkiOf(secretA), await spkiOf(secretB)];
const nameOf = (spki: string | undefined) => spki === nodeA ? "A" : spki === nodeB ? "B" : spki;

/** One replica, with the node CAs of its keys. */
function open() {
  const replica = openReplica();
  const { nodeCas } = replica;
  const accepted = () => nodeCas.certificates.map(({ spki }) => nameOf(spki.toHex())).join();
  const changes: string[] = [];
  nodeCas.onChange(() => changes.push(accepted()));
  const issues = () => nameOf(nodeCas.issuing?.certificate.spki.toHex());
  return Object.assign(replica, { changes, accepted, issues });
}

Deno.test("the old node CA attests until the switch, and both are accepted until its certificates have expired", async () => {
  await using one = open();
  assert.equal(one.issues(), undefined);
  one.source.hold(secretA);
  await one.clock.until(() => one.issues() === "A");
  assert.equal(one.accepted(), "A");
  await one.clock.advance({ hours: 1 });
  one.source.hold(secretB);
  await one.clock.until(() => one.accepted() === "A,B");
  assert.equal(one.issues(), "A");
  await one.clock.advance({ minutes: 9 });
  assert.equal(one.issues(), "A");
  await one.clock.advance({ minutes: 2 });
  assert.equal(one.issues(), "B");
  assert.match(one.accepted(), /^(A,B|B,A)$/);
  await one.clock.advance({ minutes: 70 });
  assert.match(one.accepted(), /^(A,B|B,A)$/);
  await one.clock.advance({ minutes: 10 });
  assert.equal(one.accepted(), "B");
});

Deno.test("a compromised CA's node CA is rejected at once, also when the shared document cannot be written", async () => {
  await using one = open();
  one.source.hold(secretA);
  await one.clock.until(() => one.issues() === "A");
  one.document.failure = "the API server does not answer";
  one.source.hold({ ...secretB, compromised: true });
  await one.clock.until(() => one.issues() === "B");
  assert.equal(one.accepted(), "B");
  assert.deepEqual(one.changes, ["A", "B"]);
});

Deno.test("a CA that is reported as compromised after the switch is rejected at once too", async () => {
  await using one = open();
  one.source.hold(secretA);
  await one.clock.until(() => one.issues() === "A");
  one.source.hold(secretB);
  await one.clock.until(() => one.accepted() === "A,B");
  await one.clock.advance({ minutes: 11 });
  assert.equal(one.issues(), "B");
  one.source.hold({ ...secretB, compromised: true });
  await one.clock.until(() => one.accepted() === "B");
  await one.clock.advance({ minutes: 1 });
  assert.equal(one.accepted(), "B");
});

Deno.test("a source that reports the same again changes no node CA", async () => {
  await using one = open();
  one.source.hold(secretA);
  await one.clock.until(() => one.issues() === "A");
  const [before] = one.nodeCas.certificates;
  one.source.hold({ ...secretA });
  await one.clock.advance({ minutes: 1 });
  assert.equal(one.nodeCas.certificates[0], before);
  assert.deepEqual(one.changes, ["A"]);
});

Deno.test("a Secret that is made again gives another node CA, and the previous one remains accepted for a while", async () => {
  await using one = open();
  one.source.hold(secretA);
  await one.clock.until(() => one.issues() === "A");
  const uid = "1f8fad5b-d9cb-469f-a165-70867728950e";
  const again = await spkiOf(secretA, uid);
  one.source.hold({ ...secretA, clusterId: uid });
  await one.clock.until(() => one.issues() === again);
  assert.equal(one.accepted(), `${again},A`);
  await one.clock.advance({ minutes: 80 });
  assert.equal(one.accepted(), again);
});

Deno.test("without an id of the cluster there is no node CA", async () => {
  await using one = open();
  one.source.hold({ ...secretA, clusterId: undefined });
  await one.clock.advance({ minutes: 1 });
  assert.deepEqual([one.issues(), one.accepted()], [undefined, ""]);
});
