import assert from "node:assert/strict";
import { verifyChain } from "../../../src/shared/x509/chain.ts";
import type { KeyAlgorithm } from "../../../src/shared/crypto/key_algorithm.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import type { ClusterPod } from "../../../src/service/access/pod_authorization.ts";
import { clusterPod, ScriptedPods } from "../../support/scripted_pods.ts";
import { FairQueue } from "../../../src/shared/scheduler/fair_queue.ts";
import {
  anonymous,
  certificateRequest,
  issued,
  issueRequest,
  makeCa,
  never,
  openTestService,
  pod,
  policy,
  reasonOf,
  rule,
  start,
} from "../../support/service_fixture.ts";

Deno.test("a pod receives its own names, a notBefore five minutes ago and the default validity", async () => {
  await using service = await openTestService();
  const { leaf, trustBundle, serialNumber } = issued(await service.ask());
  assert.equal(leaf.commonName, "web-0.shop.svc.cluster.local");
  assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
  assert.deepEqual([leaf.ipAddresses, leaf.uris, leaf.organizationalUnits], [[], [], []]);
  assert.equal(String(leaf.notBefore), "2026-03-01T11:55:00Z");
  assert.equal(String(leaf.notAfter), "2026-03-08T12:00:00Z");
  assert.equal(leaf.serialNumber, serialNumber);
  assert.equal(leaf.isCa, false);
  assert.deepEqual(trustBundle, service.currentCa.anchors.map(({ der }) => der));
  const anchors = [...service.currentCa.anchors];
  assert.deepEqual(await verifyChain([leaf], anchors, start), { kind: "verified" });
});

Deno.test("every serial number is different and has 128 bits", async () => {
  await using service = await openTestService();
  const serials = new Set<string>();
  for (let count = 0; count < 50; count++) {
    serials.add(issued(await service.ask()).serialNumber);
  }
  assert.equal(serials.size, 50);
  for (const serial of serials) assert.match(serial, /^[0-7][0-9a-f]{31}$/);
});

Deno.test("a certificate is valid for the requested time, from 10 seconds to the longest validity", async () => {
  const minValidity = Temporal.Duration.from({ seconds: 10 });
  await using service = await openTestService({ policy: { ...policy(), minValidity } });
  for (const duration of ["10s", "11s", "1m", "1h30m", "720h"]) {
    const { leaf, notAfter } = issued(await service.ask({ attributes: { duration } }));
    const requested = start.add(Temporal.Duration.from(`PT${duration.toUpperCase()}`));
    const expected = requested.round({ smallestUnit: "second", roundingMode: "floor" });
    assert.equal(String(leaf.notAfter), String(expected), duration);
    assert.equal(String(notAfter), String(expected), duration);
  }
  const days = issued(await service.ask({ attributes: { validity_days: "30" } }));
  assert.equal(String(days.leaf.notAfter), "2026-03-31T12:00:00Z");
});

Deno.test("ten years are granted where a rule says so", async () => {
  const maxValidity = Temporal.Duration.from({ hours: 87_600 });
  await using service = await openTestService({
    material: await makeCa({ days: 7300 }),
    policy: policy([rule({ maxValidity })]),
  });
  const { leaf } = issued(await service.ask({ attributes: { duration: "87600h" } }));
  assert.equal(String(leaf.notAfter), "2036-02-27T12:00:00Z");
});

Deno.test("a request for less than the minimum validity is denied, and its renewal raised to it", async () => {
  await using service = await openTestService();
  const attributes = { duration: "10s" };
  const reason = reasonOf("denied", await service.ask({ attributes }));
  assert.match(
    reason,
    /10s \(duration or validity_days\) is under the minimum, 1h \(MIN_VALIDITY or/,
  );
  const { leaf } = issued(await service.ask({ attributes, predecessor: "0a" }));
  assert.equal(String(leaf.notAfter), "2026-03-01T13:00:00Z");
});

Deno.test("attributes that the service does not accept reject a first certificate, and a renewal is issued by what is understood", async () => {
  await using service = await openTestService();
  const attributes = {
    colour: "red",
    duration: "5s",
    "dns-names": "web.shop.svc,Web.shop.svc",
    "key-algorithm": "ml-dsa",
  };
  const reason = reasonOf("invalid", await service.ask({ attributes }));
  assert.match(reason, /volume\.attributes\["colour"\]: is "red", expected one of /);
  assert.match(reason, /volume\.attributes\["key-algorithm"\]: is "ml-dsa"/);
  const { leaf } = issued(await service.ask({ attributes, predecessor: "0a" }));
  assert.equal(String(leaf.notAfter), "2026-03-01T13:00:00Z");
  assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local", "web-0", "web.shop.svc"]);
});

Deno.test("a renewal may hold another key than the attributes ask for, because the driver can be of another version", async () => {
  await using service = await openTestService();
  const attributes = { "key-algorithm": "ecdsa", "key-size": "384" };
  const reason = reasonOf("invalid", await service.ask({ attributes }));
  assert.match(reason, /key of type ecdsa-p256, .* key-algorithm and key-size ask for ecdsa-p384/);
  issued(await service.ask({ attributes, predecessor: "0a" }));
});

Deno.test("the end of the CA may leave less than the minimum validity", async () => {
  await using service = await openTestService({ material: await makeCa({ days: 1 }) });
  await service.clock.advance({ hours: 23, minutes: 50 });
  const { leaf } = issued(await service.ask({ attributes: { duration: "1h" } }));
  assert.equal(String(leaf.notAfter), "2026-03-02T12:00:00Z");
});

Deno.test("no certificate is valid for longer than its CA, and the shortened ones are counted", async () => {
  await using service = await openTestService({ material: await makeCa({ days: 2 }) });
  const full = issued(await service.ask({ attributes: { duration: "24h" } }));
  assert.equal(String(full.leaf.notAfter), "2026-03-02T12:00:00Z");
  assert.equal(service.signer.shortened, 0);
  const { leaf } = issued(await service.ask());
  assert.equal(String(leaf.notAfter), "2026-03-03T12:00:00Z");
  assert.equal(service.signer.shortened, 1);
});

Deno.test("no certificate is valid for longer than an intermediate above it", async () => {
  const material = await makeCa();
  const { issuer: parent } = await makeCa({ days: 3 });
  const issuer = { ...material.issuer, chain: [parent.certificate] };
  await using service = await openTestService({ material: { ...material, issuer } });
  const { leaf, chain } = issued(await service.ask());
  assert.equal(String(leaf.notAfter), "2026-03-04T12:00:00Z");
  assert.deepEqual(chain[1], parent.certificate.der);
});

Deno.test("a CA that has expired signs nothing, and the request can be repeated", async () => {
  await using service = await openTestService({ material: await makeCa({ days: 1 }) });
  await service.clock.advance({ hours: 23, minutes: 59, seconds: 55 });
  const reason = reasonOf("unavailable", await service.ask());
  assert.match(reason, /the CA is valid until 2026-03-02T12:00:00Z/);
  await service.clock.advance({ hours: 24 });
  reasonOf("unavailable", await service.ask());
});

Deno.test("every key type that is granted by default is signed, with the usages that fit it", async () => {
  await using service = await openTestService();
  const types: [KeyAlgorithm, Record<string, string>][] = [
    ["ecdsa-p256", {}],
    ["ecdsa-p384", { "key-size": "384" }],
    ["ed25519", { "key-algorithm": "ed25519" }],
    ["rsa-2048", { "key-algorithm": "rsa" }],
  ];
  for (const [algorithm, attributes] of types) {
    const certificate = await certificateRequest(algorithm);
    const { leaf } = issued(await service.ask({ certificateRequest: certificate, attributes }));
    const usage = algorithm.startsWith("rsa")
      ? ["digitalSignature", "keyEncipherment"]
      : ["digitalSignature"];
    assert.deepEqual(leaf.keyUsage, usage, algorithm);
  }
});

Deno.test("a key of another type than the volume requests is rejected", async () => {
  await using service = await openTestService();
  const attributes = { "key-algorithm": "ed25519" };
  const reason = reasonOf("invalid", await service.ask({ attributes }));
  assert.match(reason, /certificate_request: holds a key of type ecdsa-p256.*ask for ed25519/);
});

Deno.test("a certificate request that is not valid is rejected with its field", async () => {
  await using service = await openTestService();
  const good = await certificateRequest();
  const flipped = good.with(good.length - 1, (good.at(-1) ?? 0) ^ 1);
  const bad = [new Uint8Array([1, 2, 3]), new Uint8Array(100_000), good.slice(0, -1), flipped];
  for (const request of bad) {
    const outcome = await service.ask({ certificateRequest: request });
    assert.match(reasonOf("invalid", outcome), /^certificate_request: /);
  }
  assert.equal(service.inventory.size, 0);
});

Deno.test("attributes that are not valid are rejected, each with its name", async () => {
  await using service = await openTestService();
  const attributes = { duration: "ever", colour: "blue" };
  const reason = reasonOf("invalid", await service.ask({ attributes }));
  assert.match(reason, /volume\.attributes\["duration"\]: is "ever", expected a Go-style/);
  assert.match(reason, /volume\.attributes\["colour"\]/);
});

Deno.test("a renewal keeps names, units, addresses and validity, with another key and serial", async () => {
  await using service = await openTestService({
    policy: policy([rule({
      organizationalUnits: ["Shop"],
      ipRanges: [{ bits: 0x0a000000n, width: 32, prefixLength: 8 }],
    })]),
  });
  const attributes = {
    duration: "2h",
    "cn_template": "{metadata.name}.shop.svc",
    "dns-names": "*.web.shop.svc, web.shop.svc",
    "ip-sans": "10.1.2.3",
    "uri-sans": "spiffe://cluster.local/ns/shop/sa/web",
    "organizational_units": "Shop",
  };
  const first = issued(await service.ask({ attributes }));
  await service.clock.advance({ minutes: 96 });
  const second = issued(await service.ask({ attributes, predecessor: first.serialNumber }));
  const names = ({ leaf }: typeof first) => [
    leaf.subject,
    leaf.dnsNames,
    leaf.ipAddresses,
    leaf.uris,
    leaf.organizationalUnits,
    leaf.notBefore.until(leaf.notAfter).total("seconds"),
  ];
  assert.deepEqual(names(second), names(first));
  assert.deepEqual(first.leaf.dnsNames, [
    "web-0.shop.svc.cluster.local",
    "web-0",
    "web-0.shop.svc",
    "*.web.shop.svc",
    "web.shop.svc",
  ]);
  assert.notEqual(second.serialNumber, first.serialNumber);
  assert.notDeepEqual(second.leaf.spki, first.leaf.spki);
  assert.equal(service.inventory.get(second.serialNumber)?.predecessor, first.serialNumber);
});

Deno.test("a service that was restarted renews certificates that are not in its inventory", async () => {
  const material = await makeCa();
  const attributes = { "dns-names": "web.shop.svc", duration: "1h" };
  await using before = await openTestService({ material });
  const first = issued(await before.ask({ attributes }));
  await using after = await openTestService({ material });
  const renewed = issued(await after.ask({ attributes, predecessor: first.serialNumber }));
  assert.deepEqual(renewed.leaf.dnsNames, first.leaf.dnsNames);
  const { anchors } = after.currentCa;
  assert.equal((await verifyChain([renewed.leaf], [...anchors], start)).kind, "verified");
});

Deno.test("a renewal states whether this replica knows its predecessor, and no other pod's is accepted", async () => {
  const material = await makeCa();
  await using service = await openTestService({ material });
  const first = issued(await service.ask());
  assert.equal(first.predecessorVerified, undefined);
  const second = issued(await service.ask({ predecessor: first.serialNumber }));
  assert.equal(second.predecessorVerified, true);
  // The driver received no answer and names the former certificate again.
  const third = issued(await service.ask({ predecessor: first.serialNumber }));
  assert.equal(third.predecessorVerified, true);
  const unknown = issued(await service.ask({ predecessor: "a1" }));
  assert.equal(unknown.predecessorVerified, false);
  const other = { ...pod, name: "web-1", uid: "another" };
  const { serialNumber } = unknown;
  const reason = reasonOf("denied", await service.ask({ pod: other, predecessor: serialNumber }));
  assert.equal(
    reason,
    `predecessor_serial_number: certificate ${serialNumber} was issued to another pod than ` +
      "shop/web-1 with uid another",
  );
});

Deno.test("a node cannot stop a pod's renewals by reporting its certificate for another pod", async () => {
  const material = await makeCa();
  await using before = await openTestService({ material });
  const { leaf, serialNumber } = issued(await before.ask());
  await using after = await openTestService({ material });
  const claim = { certificate: leaf.der, pod: { ...pod, uid: "another" }, volumeId: "csi-1" };
  const reported = await after.reporting.report({ kind: "node", node: "node-2" }, [claim], never);
  assert.deepEqual(reported, { kind: "reported", accepted: 1, refused: 0, oversized: 0 });
  const renewed = issued(await after.ask({ predecessor: serialNumber }));
  assert.equal(renewed.predecessorVerified, false);
});

Deno.test("an invented predecessor gives neither another name nor a shorter, longer or forbidden certificate", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  await using service = await openTestService({ pods });
  const node = { kind: "node", node: "node-1" } as const;
  const ask = (attributes: Record<string, string>, given: Partial<ClusterPod> = {}) => {
    pods.create(clusterPod(pod, { volumes: new Map([["certs", attributes]]), ...given }));
    return service.ask({ predecessor: "a1" }, node);
  };
  // As short as a first certificate can be.
  const { notAfter } = issued(await ask({ duration: "10s" }));
  assert.equal(String(notAfter), "2026-03-01T13:00:00Z");
  const rows: [RegExp, Record<string, string>, Partial<ClusterPod>][] = [
    [/api\.bank\.svc/, { "dns-names": "api.bank.svc" }, {}],
    [/a validity of 1000h .* is over the maximum/, { duration: "1000h" }, {}],
    [/does not run on node node-1/, {}, { nodeName: "node-2" }],
    [/is finished/, {}, { finished: true }],
    [/was to end at/, {}, { deletionTimestamp: start.subtract({ minutes: 6 }) }],
  ];
  for (const [expected, attributes, given] of rows) {
    assert.match(reasonOf("denied", await ask(attributes, given)), expected);
  }
  await service.revocation.revoke(pod.uid);
  assert.match(reasonOf("denied", await ask({})), /were revoked/);
});

Deno.test("a changed policy applies to the next renewal", async () => {
  let current = policy([rule({ dnsNames: ["web.example.com"] })]);
  await using service = await openTestService({
    get policy() {
      return current;
    },
  });
  const attributes = { "dns-names": "web.example.com" };
  const { serialNumber } = issued(await service.ask({ attributes }));
  current = policy();
  const outcome = await service.ask({ attributes, predecessor: serialNumber });
  assert.match(reasonOf("denied", outcome), /web\.example\.com/);
});

Deno.test("200 requests at once are all answered, a bounded number at a time", async () => {
  await using service = await openTestService();
  let most = 0;
  const requests = await Promise.all(
    Array.from({ length: 200 }, (_, n) => issueRequest({ pod: { ...pod, uid: `pod-${n}` } })),
  );
  const outcomes = await Promise.all(requests.map(async (request) => {
    const outcome = await service.issuing.issue(anonymous, request, never);
    most = Math.max(most, service.queues.signature.running);
    return issued(outcome).serialNumber;
  }));
  assert.equal(new Set(outcomes).size, 200);
  assert.equal(service.inventory.size, 200);
  assert(most <= 4, `${most} ran at once`);
  assert.equal(service.queues.signature.running, 0);
});

Deno.test("a request over the bound receives the time after which to retry", async () => {
  const clock = new FakeClock(start);
  const signature = new FairQueue({ clock, concurrency: 1, capacity: 1 });
  await using service = await openTestService({ clock, queues: { signature } });
  const requests = [await issueRequest(), await issueRequest(), await issueRequest()];
  const outcomes = await Promise.all(
    requests.map((request) => service.issuing.issue(anonymous, request, never)),
  );
  const overloaded = outcomes.filter(({ kind }) => kind === "overloaded");
  assert.equal(overloaded.length, 1);
  const [outcome] = overloaded;
  assert(outcome?.kind === "overloaded");
  assert(outcome.retryAfter.total("milliseconds") >= 1000);
});

Deno.test("a request that is cancelled while it waits is not signed", async () => {
  const clock = new FakeClock(start);
  const signature = new FairQueue({ clock, concurrency: 1 });
  await using service = await openTestService({ clock, queues: { signature } });
  const controller = new AbortController();
  const [first, second] = [await issueRequest(), await issueRequest()];
  const running = service.issuing.issue(anonymous, first, never);
  const waiting = service.issuing.issue(anonymous, second, controller.signal);
  controller.abort(new Error("gone"));
  await assert.rejects(waiting, /gone/);
  issued(await running);
  assert.equal(service.inventory.size, 1);
});
