import assert from "node:assert/strict";
import type { SharedDocumentContent } from "../../../src/service/documents/shared_document.ts";
import { FairQueue } from "../../../src/shared/scheduler/fair_queue.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { podDenials } from "../../../src/service/revocation/denial_format.ts";
import { fill } from "./full_list.ts";
import { ScriptedDocument } from "../ca/rotation_fixture.ts";
import { clusterPod, ScriptedPods } from "../../support/scripted_pods.ts";
import { settled } from "../../support/settled.ts";
import {
  issued,
  makeCa,
  openTestService,
  pod,
  reasonOf,
  start,
} from "../../support/service_fixture.ts";

const node = { kind: "node", node: "node-1" } as const;
const name = { namespace: pod.namespace, name: pod.name };

Deno.test("a revoked pod receives no further certificate, another pod does", async () => {
  await using service = await openTestService();
  const { serialNumber } = issued(await service.ask({ attributes: { duration: "24h" } }));
  await service.revocation.revoke(pod.uid);
  const outcome = await service.ask({ predecessor: serialNumber });
  assert.match(reasonOf("denied", outcome), /were revoked; only a new pod gets new ones/);
  issued(await service.ask({ pod: { ...pod, uid: "another" } }));
  assert.equal(String(service.revocation.deniedSince(pod.uid)), String(start));
});

Deno.test("no certificate of another replica is valid after the end that a revocation states", async () => {
  const [material, document] = [await makeCa(), new ScriptedDocument()];
  await using here = await openTestService({ material, denialsDocument: document });
  // The other replica's clock is ahead, and it has not read the denial yet.
  const ahead = new FakeClock(start.add({ minutes: 4, seconds: 59 }));
  await using there = await openTestService({ material, clock: ahead });
  const { validUntil } = await here.revocation.revoke(pod.uid);
  const { notAfter } = issued(await there.ask({ attributes: { duration: "720h" } }));
  assert.ok(Temporal.Instant.compare(notAfter, validUntil) <= 0, `${notAfter} ${validUntil}`);
  assert.equal(String(validUntil), String(start.add({ hours: 720, minutes: 5 })));
});

Deno.test("a revoked pod that is silent for longer than any certificate is valid stays denied", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  for (const options of [{ pods }, {}]) {
    const clock = new FakeClock(start);
    await using service = await openTestService({
      ...options,
      clock,
      material: await longLivedCa(),
    });
    await service.revocation.revoke(pod.uid, name);
    for (const hours of [722, 7_220]) {
      clock.sleep({ hours });
      await clock.advance({ hours: 2 });
      reasonOf("denied", await service.ask({}, node));
    }
    assert.equal(String(service.revocation.deniedSince(pod.uid)), String(start));
  }
});

const longLivedCa = () => makeCa({ days: 36_500 });

Deno.test("a denial ends when its certificates have expired and the API server says that the uid is gone", async () => {
  for (const successor of [undefined, { ...pod, uid: "another" }]) {
    const pods = new ScriptedPods(clusterPod(pod));
    const document = new ScriptedDocument();
    await using service = await openTestService({ pods, denialsDocument: document });
    const { clock } = service;
    await service.revocation.revoke(pod.uid, name);
    pods.delete(pod);
    if (successor !== undefined) pods.create(clusterPod(successor));
    pods.failure = "the API server does not answer";
    clock.sleep({ hours: 1_000 });
    await clock.advance({ hours: 2 });
    assert.notEqual(service.denials.get(pod.uid), undefined);
    pods.failure = undefined;
    await clock.advance({ hours: 1 });
    assert.equal(service.denials.get(pod.uid), undefined);
    assert.doesNotMatch(document.text?.data["denials.json"] ?? "", new RegExp(pod.uid));
  }
});

Deno.test("a denial of a pod that is gone is kept until its certificates have expired, also over a restart", async () => {
  const [pods, document] = [new ScriptedPods(), new ScriptedDocument()];
  {
    await using before = await openTestService({ pods, denialsDocument: document });
    await before.revocation.revoke(pod.uid, name);
    before.clock.sleep({ hours: 718 });
    await before.clock.advance({ hours: 2 });
    assert.notEqual(before.denials.get(pod.uid), undefined);
    assert.equal(pods.finds, 0);
  }
  const clock = new FakeClock(start.add({ hours: 721 }));
  await using after = await openTestService({ pods, denialsDocument: document, clock });
  await clock.until(() => after.denials.get(pod.uid) === undefined);
});

Deno.test("replicas whose clocks differ remove a denial once, and none writes it again", async () => {
  const [pods, document] = [new ScriptedPods(), new ScriptedDocument()];
  const clocks = [new FakeClock(start), new FakeClock(start.add({ minutes: 4 }))] as const;
  await using one = await openTestService({ pods, denialsDocument: document, clock: clocks[0] });
  await using two = await openTestService({ pods, denialsDocument: document, clock: clocks[1] });
  await one.revocation.revoke(pod.uid, name);
  await clocks[1].until(() => two.denials.get(pod.uid) !== undefined);
  const writes = document.writes;
  for (const clock of clocks) clock.sleep({ hours: 719 });
  for (let hours = 0; hours < 5; hours++) {
    for (const clock of clocks) await clock.advance({ hours: 1 });
  }
  assert.deepEqual([one.denials.pods(), two.denials.pods()], [[], []]);
  assert.equal(document.writes, writes + 1);
});

Deno.test("the API server is asked about a denied pod that exists once in the longest validity", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  await using service = await openTestService({ pods });
  await service.revocation.revoke(pod.uid, name);
  for (const finds of [1, 2, 3]) {
    service.clock.sleep({ hours: 715 });
    await service.clock.advance({ hours: 10 });
    assert.equal(pods.finds, finds);
  }
  assert.equal(String(service.revocation.deniedSince(pod.uid)), String(start));
});

Deno.test("a denial without a name gets it from the pod's next request, and never ends without one", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  const document = new ScriptedDocument();
  await using service = await openTestService({ pods, denialsDocument: document });
  const { clock } = service;
  await service.revocation.revoke(pod.uid);
  await service.revocation.revoke("silent");
  reasonOf("denied", await service.ask({}, node));
  await clock.until(() => service.denials.get(pod.uid)?.pod !== undefined);
  assert.deepEqual(service.denials.get(pod.uid)?.pod, name);
  assert.match(document.text?.data["denials.json"] ?? "", /"namespace":"shop","name":"web-0"/);
  pods.delete(pod);
  clock.sleep({ hours: 800 });
  await clock.advance({ hours: 2 });
  assert.deepEqual(service.denials.pods().map(({ podUid }) => podUid), ["silent"]);
});

Deno.test("a replica that issued to a pod adds the name to the denial that another one wrote without it", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  const [material, document] = [await makeCa(), new ScriptedDocument()];
  const options = { pods, material, denialsDocument: document };
  await using issuer = await openTestService(options);
  await using other = await openTestService(options);
  issued(await issuer.ask({}, node));
  await other.revocation.revoke(pod.uid);
  await issuer.clock.until(() => issuer.denials.get(pod.uid)?.pod !== undefined);
  await other.clock.until(() => other.denials.get(pod.uid)?.pod !== undefined);
  assert.deepEqual(other.denials.get(pod.uid)?.pod, name);
});

Deno.test("where the list is full, a denial whose pod is gone is removed for a new one, and else it is refused", async () => {
  const times = { at: start, checkAt: start.add({ hours: 720 }) };
  const denials = fill(podDenials, (at) => {
    const pod = { namespace: "shop", name: `${at}`.padStart(253, "p") };
    return { podUid: `${at}`.padStart(36, "0"), pod, ...times };
  });
  const pods = new ScriptedPods(
    ...denials.map(({ podUid, pod: named }) => clusterPod({ ...pod, ...named, uid: podUid })),
  );
  const document = new ScriptedDocument();
  document.put({ "denials.json": podDenials.format(denials) });
  await using service = await openTestService({ pods, denialsDocument: document });
  const refused = service.revocation.revoke(pod.uid, denials[0]!.pod);
  await assert.rejects(refused, new RegExp(`^Error: ${denials.length} pods are denied, which is`));
  assert.equal(service.revocation.deniedSince(pod.uid), undefined);
  const gone = denials.at(-1)!;
  pods.delete(gone.pod!);
  // An API server without answers is not asked about each pod, which would take a time limit for eight.
  pods.failure = "the API server does not answer";
  const finds = pods.finds;
  await assert.rejects(
    service.revocation.revoke(pod.uid, denials[0]!.pod),
    /pods are denied, which/,
  );
  assert.equal(pods.finds, finds + 8);
  pods.failure = undefined;
  await service.revocation.revoke(pod.uid, denials[0]!.pod);
  assert.equal(service.revocation.deniedSince(gone.podUid), undefined);
  assert.equal(service.denials.pods().length, denials.length);
});

Deno.test("where the list is full, as many denials are removed as a longer one needs", async () => {
  const times = { at: start, checkAt: start.add({ hours: 720 }) };
  const denials = fill(podDenials, (at) => {
    const pod = { namespace: "shop", name: `web-${at}` };
    return { podUid: `${at}`.padStart(36, "0"), pod, ...times };
  });
  const pods = new ScriptedPods(
    ...denials.map(({ podUid, pod: named }) => clusterPod({ ...pod, ...named, uid: podUid })),
  );
  // The pods are asked about in groups of eight, of which each has at most one that is gone.
  for (const at of [7, 15, 23, 31, 39]) pods.delete(denials[at]!.pod!);
  const document = new ScriptedDocument();
  document.put({ "denials.json": podDenials.format(denials) });
  await using service = await openTestService({ pods, denialsDocument: document });
  await service.revocation.revoke(pod.uid, { namespace: "shop", name: "p".repeat(253) });
  assert.equal(String(service.revocation.deniedSince(pod.uid)), String(start));
  assert.ok(service.denials.pods().length < denials.length);
});

Deno.test("a certificate that was being signed while its pod was revoked is not returned", async () => {
  await using service = await openTestService();
  const sign = service.signer.sign.bind(service.signer);
  service.signer.sign = async (order) => {
    const signed = await sign(order);
    await service.revocation.revoke(pod.uid);
    return signed;
  };
  reasonOf("denied", await service.ask());
  assert.equal(service.inventory.size, 0);
});

/** A document whose writes can be without an answer for a time. */
class SilentDocument extends ScriptedDocument {
  #answer = Promise.resolve();

  /** Until the result is disposed. */
  silence(): Disposable {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#answer = promise;
    return { [Symbol.dispose]: resolve };
  }

  override async write(data: SharedDocumentContent["data"], version: string | undefined) {
    await this.#answer;
    return await super.write(data, version);
  }
}

Deno.test("while the API server does not answer, the requests of revoked pods delay no other pod", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  const document = new SilentDocument();
  const clock = new FakeClock(start);
  const queues = { signature: new FairQueue({ clock, concurrency: 1 }) };
  const options = { clock, queues, pods, denialsDocument: document, material: await longLivedCa() };
  await using service = await openTestService(options);
  await service.revocation.revoke(pod.uid);
  // A renewal of the denial was due from half of the longest validity on.
  clock.sleep({ hours: 400 });
  using _silence = document.silence();
  const other = { ...pod, name: "web-1", uid: "another" };
  pods.create(clusterPod(other));
  const revoked = service.ask({}, node);
  issued(await settled(clock, service.ask({ pod: other }, node)));
  reasonOf("denied", await settled(clock, revoked));
  // Nor do they wait for a revocation that is being written.
  void service.revocation.revoke("third");
  issued(await settled(clock, service.ask({ pod: other, predecessor: "a1" }, node)));
});
