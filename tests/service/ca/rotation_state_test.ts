import assert from "node:assert/strict";
import type { CaSourceContent } from "../../../src/service/ca/ca_source.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { Extension } from "../../../src/service/x509/peculiar_x509.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { forge } from "../../support/certificate_forge.ts";
import { openReplica } from "./replica.ts";
import { makeSecret, ScriptedDocument, start } from "./rotation_fixture.ts";

const [secretA, secretB, secretC] = await Promise.all([
  makeSecret("A"),
  makeSecret("B"),
  makeSecret("C"),
]);
const compromised = (secret: CaSourceContent) => ({ ...secret, compromised: true });
const versioned = (secret: CaSourceContent, version: number) => ({
  ...secret,
  source: { uid: "uid-1", version: String(version) },
});
const statusOf = ({ caController }: ReturnType<typeof openReplica>) =>
  caController.statusLines().join("\n");

/** Replicas that share a clock and a document, and sign with A. */
async function openReplicas(count: number, document = new ScriptedDocument()) {
  const clock = new FakeClock(start);
  await using stack = new AsyncDisposableStack();
  const replicas = Array.from(
    { length: count },
    () => stack.use(openReplica({ clock, document })),
  );
  for (const { source } of replicas) source.hold(versioned(secretA, 1));
  await clock.until(() => replicas.every((one) => one.signs() === "A"));
  const kept = stack.move();
  return { clock, document, replicas, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

Deno.test("a replica that is behind does not bring a compromised root back", async () => {
  await using three = await openReplicas(3);
  const { clock, replicas, document } = three;
  const [one, two, behind] = replicas as [
    typeof replicas[0],
    typeof replicas[0],
    typeof replicas[0],
  ];
  for (const { source } of [one!, two!]) source.hold(compromised(versioned(secretB, 2)));
  await clock.until(() => one!.signs() === "B" && two!.signs() === "B");
  await clock.until(() => behind!.signs() === undefined);
  // Its watch reports the former Secret once more, with a version and without one.
  for (const again of [versioned(secretA, 1), secretA]) {
    behind!.source.hold({ ...again });
    await clock.until(() => /the new CA cannot be used/.test(statusOf(behind!)));
    await clock.advance({ minutes: 5 });
    assert.equal(document.text?.data["ca.crt"], secretB.certificatePem);
    assert.deepEqual(replicas.map((replica) => replica!.trusts()), ["B", "B", "B"]);
    assert.equal(behind!.signs(), undefined);
  }
  behind!.source.hold(compromised(versioned(secretB, 2)));
  await clock.until(() => behind!.signs() === "B");
  assert.doesNotMatch(statusOf(behind!), /cannot be used/);
  assert.match(statusOf(behind!), /"CN=A" is never trusted again, because its key was marked/);
});

Deno.test("a replica that is behind does not undo a rotation", async () => {
  await using two = await openReplicas(2);
  const { clock, replicas: [one, behind], document } = two;
  one!.source.hold(versioned(secretB, 2));
  await clock.until(() => behind!.trusts() === "A,B");
  await clock.advance({ minutes: 5 });
  const { writes } = document;
  behind!.source.hold(versioned(secretA, 1));
  await clock.until(() => /1, and 2 was acted on already/.test(statusOf(behind!)));
  await clock.advance({ minutes: 5 });
  await clock.until(() => one!.signs() === "B");
  assert.equal(behind!.signs(), "A");
  // One write: the switch.
  assert.equal(document.writes, writes + 1);
  behind!.source.hold(versioned(secretB, 2));
  await clock.until(() => behind!.signs() === "B");
});

Deno.test("a Secret whose versions went back, as after a restored etcd, is acted on when the record's line is removed", async () => {
  await using one = await openReplicas(1);
  const { clock, replicas: [replica], document } = one;
  replica!.source.hold(versioned(secretB, 2_000));
  await clock.until(() => replica!.trusts() === "A,B");
  replica!.source.hold(versioned(secretC, 1_000));
  await clock.until(() => /1000, and 2000 was acted on already/.test(statusOf(replica!)));
  const data = { ...document.text?.data };
  document.put({ ...data, "rotation.txt": data["rotation.txt"]!.replace(/^secret .*\n/m, "") });
  await clock.until(() => replica!.trusts() === "A,B,C");
  assert.doesNotMatch(statusOf(replica!), /cannot be used/);
});

Deno.test("the list of untrusted roots survives a document that is deleted, damaged or replaced by a former one", async () => {
  await using two = await openReplicas(2);
  const { clock, replicas: [one, other], document } = two;
  const former = document.text?.data;
  for (const { source } of [one!, other!]) source.hold(compromised(versioned(secretB, 2)));
  await clock.until(() => one!.signs() === "B" && other!.signs() === "B");
  const sound = { ...document.text?.data };
  const untrustedLine = /^untrusted [0-9a-f]{64} [0-9a-f]{64} 1 CN=A$/m;
  for (
    const data of [
      undefined,
      {},
      former,
      { ...sound, "rotation.txt": "" },
      { ...sound, "rotation.txt": "# nothing\nrevision 99\n" },
      { ...sound, "state.json": "{" },
      { "ca.crt": secretA.certificatePem },
      { ...former, "rotation.txt": sound["rotation.txt"] ?? "" },
    ]
  ) {
    document.put(data && { ...data });
    await clock.until(() => untrustedLine.test(document.text?.data["rotation.txt"] ?? ""));
    await clock.until(() => document.text?.data["ca.crt"] === secretB.certificatePem);
    await clock.advance({ minutes: 1 });
    assert.deepEqual([one!.trusts(), other!.trusts()], ["B", "B"]);
    assert.deepEqual([one!.signs(), other!.signs()], ["B", "B"]);
  }
});

Deno.test("a replica puts its CA into the state again when an edit has removed it", async () => {
  await using one = await openReplicas(1);
  const { clock, replicas: [replica], document } = one;
  const former = { ...document.text?.data };
  const record = () => document.text?.data["rotation.txt"] ?? "";
  replica!.source.hold(versioned(secretB, 2));
  await clock.until(() => replica!.trusts() === "A,B");
  // The number of writes is the present one, so that the document is not recognised as a former copy.
  document.put({ ...former, "rotation.txt": record().replace(/^secret .*$/m, "secret uid-1 1") });
  await clock.until(() => /^secret uid-1 2$/m.test(record()));
  assert.equal(replica!.trusts(), "A,B");
  replica!.source.hold(compromised(versioned(secretB, 3)));
  await clock.until(() => replica!.signs() === "B");
  // A is untrusted, so that the state of the copy has no CA.
  document.put({ ...former, "rotation.txt": record() });
  await clock.until(() => document.text?.data["ca.crt"] === secretB.certificatePem);
  assert.deepEqual([replica!.signs(), replica!.trusts()], ["B", "B"]);
});

Deno.test("an anchor that is retiring survives a document that is replaced by a former one", async () => {
  await using one = await openReplicas(1);
  const { clock, replicas: [replica], document } = one;
  const former = { ...document.text?.data };
  for (const [secret, version] of [[secretB, 2], [secretC, 3]] as const) {
    replica!.source.hold(versioned(secret, version));
    await clock.until(() => replica!.trusts().endsWith(secret === secretB ? "B" : "C"));
    await clock.advance({ hours: 1 });
  }
  assert.deepEqual([replica!.trusts(), replica!.signs()], ["A,B,C", "C"]);
  document.put(former);
  await clock.until(() => document.text?.data["state.json"] !== former["state.json"]);
  await clock.advance({ minutes: 1 });
  assert.deepEqual([replica!.trusts(), replica!.signs()], ["A,B,C", "C"]);
});

Deno.test("a compromised CA stops signing when its successor cannot be used, and its node CA is rejected", async () => {
  await using logs = await captureLogs(["cert-service", "ca"]);
  await using one = openReplica();
  const uid = "1f8fad5b-d9cb-469f-a165-70867728950e";
  one.source.hold({ ...secretA, clusterId: uid });
  await one.clock.until(() => one.signs() === "A" && one.nodeCas.certificates.length === 1);
  const broken = { ...secretB, privateKeyPem: secretA.privateKeyPem, clusterId: uid };
  // Without the annotation the previous CA remains in use.
  one.source.hold(broken);
  await one.clock.until(() => /the new CA cannot be used/.test(statusOf(one)));
  assert.equal(one.signs(), "A");
  one.source.hold(compromised(broken));
  await one.clock.until(() => one.signs() === undefined);
  assert.equal(one.nodeCas.certificates.length, 0);
  assert.equal(one.trusts(), "A");
  assert.match(
    statusOf(one),
    /^the key of the CA is marked as compromised, and the CA that replaces it cannot be used.*\nthe new CA cannot be used: the CA's key does not belong/,
  );
  const errors = logs.records.filter(({ level }) => level === "error")
    .map(({ message }) => message.join(""));
  assert.match(
    errors.at(-1) ?? "",
    /^the CA cannot be used, and no certificate is signed, because the key of the previous CA is marked as compromised: the CA's key does not belong/,
  );
  await one.clock.advance({ hours: 1 });
  assert.equal(one.signs(), undefined);
  one.source.hold(compromised({ ...secretB, clusterId: uid }));
  await one.clock.until(() => one.signs() === "B");
  assert.deepEqual([one.trusts(), one.nodeCas.certificates.length], ["B", 1]);
});

Deno.test("a CA whose own Secret becomes unusable while the annotation is still there remains in use", async () => {
  await using one = openReplica();
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  one.source.hold(compromised(secretB));
  await one.clock.until(() => one.signs() === "B");
  const broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  one.source.hold(compromised({ ...secretB, furtherAnchorsPem: broken }));
  await one.clock.until(() => /a certificate that cannot be read/.test(statusOf(one)));
  assert.equal(one.signs(), "B");
});

Deno.test("a trust bundle that cannot be written is named with its cause, and the CA is not blamed", async () => {
  const document = new ScriptedDocument();
  document.failure = "the service's own account may not patch configmaps: it lacks a Role";
  await using one = openReplica({ document });
  one.source.hold(secretA);
  await one.clock.until(() => one.errors.length > 0);
  assert.equal(
    statusOf(one),
    "the trust bundle cannot be read or written: the service's /readyz states why\n" +
      "the trust bundle in ConfigMap csi-cert-system/csi-cert-trust-bundle cannot be read or " +
      "written: the service's own account may not patch configmaps: it lacks a Role",
  );
  document.failure = undefined;
  await one.clock.advance({ minutes: 1 });
  await one.clock.until(() => one.signs() === "A");
  assert.doesNotMatch(statusOf(one), /cannot be read or written/);
});

Deno.test("a trust bundle over 256 KiB is refused with its size and what to remove, and the previous one remains", async () => {
  await using one = openReplica();
  one.source.hold(secretA);
  await one.clock.until(() => one.signs() === "A");
  const many = await makeLargeRoots(12);
  one.source.hold({ ...secretA, furtherAnchorsPem: many.slice(0, 4).join("") });
  await one.clock.until(() => one.currentCa.anchors.length === 5);
  one.source.hold({ ...secretA, furtherAnchorsPem: many.join("") });
  await one.clock.until(() => /the trust bundle would have/.test(statusOf(one)));
  assert.match(
    statusOf(one),
    /the new CA cannot be used: the trust bundle would have \d{6} bytes in 13 roots, and at most 262144 bytes are possible: remove roots from the 13 that come with the CA \(ca\.crt of the Secret\)/,
  );
  assert.deepEqual([one.signs(), one.currentCa.anchors.length], ["A", 5]);
  const size = Object.values(one.document.text?.data ?? {}).join("").length;
  assert(size < 1024 * 1024, `${size}`);
});

/** Self-signed roots of 20 KB each, PEM. */
async function makeLargeRoots(count: number): Promise<string[]> {
  const large = new Extension("1.3.6.1.4.1.55555.1", false, new Uint8Array(20_000));
  const roots: string[] = [];
  for (let at = 0; at < count; at++) {
    roots.push((await forge({ commonName: `R${at}`, extensions: [large] })).certificatePem);
  }
  return roots;
}
