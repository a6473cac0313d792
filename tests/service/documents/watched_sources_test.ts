import assert from "node:assert/strict";
import { CurrentCa } from "../../../src/service/ca/current_ca.ts";
import { ClientCas } from "../../../src/service/access/client_cas.ts";
import { fileCaSource } from "../../../src/service/ca/file_ca_source.ts";
import { CurrentPolicy } from "../../../src/service/issuing/current_policy.ts";
import type { CaSourceState } from "../../../src/service/ca/ca_source.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { Scheduler } from "../../../src/shared/scheduler/scheduler.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { makeCa, policy } from "../../support/service_fixture.ts";

/** A file whose text a test changes. */
class TestFile {
  readonly name = "POLICY_FILE /etc/file";
  text: string | Error;

  constructor(text: string) {
    this.text = text;
  }

  readonly read = () =>
    this.text instanceof Error ? Promise.reject(this.text) : Promise.resolve(this.text);
}

function commonNames({ certificates }: ClientCas): string {
  return certificates.map(({ commonName }) => commonName).join();
}

function ticking(clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()))) {
  const scheduler = new Scheduler({ clock });
  return { clock, scheduler, [Symbol.asyncDispose]: () => scheduler[Symbol.asyncDispose]() };
}

Deno.test("a changed policy file is used within ten seconds", async () => {
  await using time = ticking();
  const file = new TestFile("rules: []");
  let changes = 0;
  await using source = await CurrentPolicy.open({ ...time, base: policy(), file });
  using _listening = source.onChange(() => void changes++);
  file.text = "rules:\n  - namespaces: [shop]\n    maxValidity: 2160h\n";
  await time.clock.advance({ seconds: 10 });
  assert.equal(source.policy.rules.length, 1);
  assert.equal(source.longestValidity.total("hours"), 2160);
  assert.equal(changes, 1);
});

Deno.test("a bad policy file is reported with its line, and the previous one remains in use until a good one", async () => {
  await using time = ticking();
  const good = "rules:\n  - namespaces: [shop]\n    bareNames: false\n";
  const file = new TestFile(good);
  await using source = await CurrentPolicy.open({ ...time, base: policy(), file });
  for (const bad of ["rules:\n  - namespaces: [Shop]\n", "rules: {", "x: 1"]) {
    file.text = bad;
    await time.clock.advance({ seconds: 10 });
    assert.match(source.problem ?? "", /line [12](, rule 1)?: /);
    assert.equal(source.policy.rules.length, 1);
  }
  file.text = new Error("permission denied");
  await time.clock.advance({ seconds: 10 });
  assert.equal(source.problem, "permission denied");
  file.text = good;
  await time.clock.advance({ seconds: 10 });
  assert.deepEqual([source.problem, source.policy.rules.length], [undefined, 1]);
  file.text = new Error("permission denied");
  await time.clock.advance({ seconds: 10 });
  assert.equal(source.problem, "permission denied");
  file.text = good;
  await time.clock.advance({ seconds: 10 });
  assert.deepEqual([source.problem, source.policy.rules.length], [undefined, 1]);
});

Deno.test("a service does not start with a bad policy file, and has no rules without one", async () => {
  await using time = ticking();
  const opening = CurrentPolicy.open({ ...time, base: policy(), file: new TestFile("rules: 1") });
  await assert.rejects(opening, /^Error: POLICY_FILE \/etc\/file: line 1: rules is "/);
  await using source = await CurrentPolicy.open({ ...time, base: policy() });
  assert.deepEqual(source.policy.rules, []);
  assert.equal(time.scheduler.size, 0);
});

Deno.test("the CA's files are reported at the start and each time either changes, also when one is missing and returns", async () => {
  await using time = ticking();
  const [certificate, privateKey] = [new TestFile("c1"), new TestFile("k1")];
  const missing = new Error("no such file");
  const source = fileCaSource({
    ...time,
    certificate,
    privateKey,
    isMissing: (error) => error === missing,
  });
  const stopping = new AbortController();
  const reported: CaSourceState[] = [];
  const following = (async () => {
    for await (const state of source.watch(stopping.signal)) reported.push(state);
  })();
  await time.clock.until(() => reported.length === 1);
  certificate.text = "c2";
  privateKey.text = "k2";
  await time.clock.advance({ seconds: 10 });
  await time.clock.advance({ minutes: 1 });
  certificate.text = missing;
  await time.clock.advance({ seconds: 10 });
  certificate.text = new Error("input/output error");
  await time.clock.advance({ seconds: 10 });
  await time.clock.advance({ seconds: 10 });
  certificate.text = "c2";
  await time.clock.advance({ seconds: 10 });
  stopping.abort();
  await following;
  assert.deepEqual(
    reported.map((state) => state.kind === "present" ? state.content.certificatePem : state.kind),
    ["c1", "c2", "absent", "unavailable", "c2"],
  );
  assert.equal(time.scheduler.size, 0);
});

Deno.test("the client CAs are read again when their file changes", async () => {
  await using time = ticking();
  const [first, second] = await Promise.all([TestCa.create("One"), TestCa.create("Two")]);
  const file = new TestFile(first.certificatePem);
  const currentCa = new CurrentCa();
  await using clients = await ClientCas.open({ ...time, currentCa, file });
  let changes = 0;
  using _subscription = clients.onChange(() => changes++);
  file.text = second.certificatePem;
  await time.clock.advance({ seconds: 10 });
  assert.equal(commonNames(clients), "Two");
  const { certificatePem: leaf } = await second.issue("a.example");
  for (const bad of ["", "no PEM", leaf]) {
    file.text = bad;
    await time.clock.advance({ seconds: 10 });
    assert.equal(commonNames(clients), "Two");
    assert.match(clients.problem ?? "", /contains no certificate|is not a CA certificate/);
  }
  assert.equal(changes, 1);
});

Deno.test("nodes' certificates cannot come from the CA that signs for pods, at the start or later", async () => {
  const clock = new FakeClock(Temporal.Instant.from("2026-03-01T12:00:00Z"));
  await using time = ticking(clock);
  const [pods, nodes] = await Promise.all([makeCa(), makeCa({ commonName: "Nodes" })]);
  const pem = (der: Uint8Array) => encodePem("CERTIFICATE", der);
  const currentCa = new CurrentCa(pods);
  const file = new TestFile(pem(nodes.issuer.certificate.der));
  await using clients = await ClientCas.open({ ...time, currentCa, file });
  const certificatesOf = ({ issuer, anchors }: typeof pods) => ({
    chain: [issuer.certificate, ...issuer.chain],
    roots: anchors,
  });
  assert.equal(await clients.rejectionReason(certificatesOf(pods)), undefined);
  // As when a rotation would make the nodes' CA sign for pods.
  assert.match(
    await clients.rejectionReason(certificatesOf(nodes)) ?? "",
    /"CN=Nodes" of CLIENT_CA_FILE has the key of a CA that signs for pods; give nodes a CA of their own/,
  );
  // As when the file would contain the CA that signs for pods.
  file.text += pem(pods.issuer.certificate.der);
  await clock.advance({ seconds: 10 });
  assert.match(clients.problem ?? "", /has the key of a CA that signs for pods/);
  assert.equal(commonNames(clients), "Nodes");
});

Deno.test("client CAs that were rejected because of the CA that signs for pods are used once another CA signs", async () => {
  const clock = new FakeClock(Temporal.Instant.from("2026-03-01T12:00:00Z"));
  await using time = ticking(clock);
  const [former, next, nodes] = await Promise.all(
    ["Former", "Next", "Nodes"].map((commonName) => makeCa({ commonName })),
  );
  assert(former && next && nodes);
  const pem = ({ issuer }: typeof former) => encodePem("CERTIFICATE", issuer.certificate.der);
  const currentCa = new CurrentCa(former);
  const file = new TestFile(pem(nodes));
  await using clients = await ClientCas.open({ ...time, currentCa, file });
  // The operator gives the key of the former CA to the nodes before the rotation has ended.
  file.text = pem(former);
  await clock.advance({ seconds: 10 });
  assert.match(clients.problem ?? "", /has the key of a CA that signs for pods/);
  currentCa.replace({ ...next, anchors: [...former.anchors, ...next.anchors] });
  await clock.until(() => time.scheduler.running === 0);
  await clock.advance({ seconds: 1 });
  assert.match(clients.problem ?? "", /has the key of a CA that signs for pods/);
  currentCa.replace(next);
  await clock.until(() => commonNames(clients) === "Former");
  assert.equal(clients.problem, undefined);
});

/** A CA that changes once, after it was read for a check. */
class ChangingCa extends CurrentCa {
  change: (() => void) | undefined;

  override get anchors() {
    const anchors = super.anchors;
    if (this.change !== undefined) queueMicrotask(this.change);
    this.change = undefined;
    return anchors;
  }
}

Deno.test("client CAs are checked again when the CA that signs for pods changes during the check", async () => {
  const clock = new FakeClock(Temporal.Instant.from("2026-03-01T12:00:00Z"));
  await using time = ticking(clock);
  const [former, next, nodes] = await Promise.all(
    ["Former", "Next", "Nodes"].map((commonName) => makeCa({ commonName })),
  );
  assert(former && next && nodes);
  const pem = ({ issuer }: typeof former) => encodePem("CERTIFICATE", issuer.certificate.der);
  const currentCa = new ChangingCa(former);
  const file = new TestFile(pem(nodes));
  await using clients = await ClientCas.open({ ...time, currentCa, file });
  file.text = pem(former);
  currentCa.change = () => currentCa.replace(next);
  await clock.advance({ seconds: 10 });
  await clock.until(() => time.scheduler.running === 0);
  assert.deepEqual([commonNames(clients), clients.problem], ["Former", undefined]);
  file.text = pem(nodes);
  currentCa.change = () => currentCa.replace(nodes);
  await clock.advance({ seconds: 10 });
  await clock.until(() => time.scheduler.running === 0);
  assert.equal(commonNames(clients), "Former");
  assert.match(
    clients.problem ?? "",
    /"CN=Nodes" of CLIENT_CA_FILE has the key of a CA that signs/,
  );
});
