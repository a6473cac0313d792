import assert from "node:assert/strict";
import { TestNode } from "../../support/node.ts";

Deno.test("renewal keeps names and attributes, makes a new key, and happens at 80 % plus the spread", async () => {
  await using node = await TestNode.create();
  const attributes = { duration: "100h", "ip-sans": "10.1.2.3", organizational_units: "Ops" };
  const request = await node.request(attributes);
  await node.publish(request);
  const first = await node.leaf(request);
  const due = node.scheduler.nextRun(request.volumeId)!;
  const ageHours = due.since(node.clock.now()).total("hours");
  assert.ok(ageHours >= 80 && ageHours <= 84, `due after ${ageHours} h`);
  await node.renew(request);
  const second = await node.leaf(request);
  assert.equal(node.issuer.requests[1]?.predecessor, first.serialNumber);
  assert.deepEqual(node.issuer.requests[1]?.attributes, attributes);
  assert.notDeepEqual(second.spki, first.spki);
  for (const field of ["subject", "dnsNames", "ipAddresses", "organizationalUnits"] as const) {
    assert.deepEqual(second[field], first[field]);
  }
  const lifetime = second.notAfter.since(second.notBefore).total("minutes");
  assert.equal(Math.round(lifetime), 100 * 60 + 5);
  assert.equal((await node.store.load()).records[0]?.serialNumber, second.serialNumber);
});

Deno.test("reuse-private-key keeps the key over a renewal", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h", "reuse-private-key": "true" });
  await node.publish(request);
  const first = await node.leaf(request);
  await node.renew(request);
  const second = await node.leaf(request);
  assert.notEqual(second.serialNumber, first.serialNumber);
  assert.deepEqual(second.spki, first.spki);
});

Deno.test("renewal backs off while the service is away, keeps the old pair past its expiry, and recovers", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  node.issuer.answer = () => Promise.resolve({ kind: "unavailable", reason: "away" });
  // Minute by minute, so that file operations end between the attempts.
  for (let minute = 0; minute < 11 * 60; minute++) {
    await node.clock.advance({ minutes: 1 });
    await node.clock.until(() => node.scheduler.running === 0);
  }
  const attempts = node.issuer.requests.length - 1;
  assert.ok(attempts > 15 && attempts < 200, `${attempts} attempts in about three hours`);
  assert.equal((await node.leaf(request)).serialNumber, serialNumber);
  node.issuer.answer = undefined;
  node.renewer.retryFailed(30_000);
  // At most the pause after the last request and the spread.
  await node.clock.advance({ seconds: 60 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
  assert.equal(node.renewer.failures(request.volumeId), 0);
});

Deno.test("a volume counts as failing until a renewal succeeds, however often the service is back meanwhile", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  node.issuer.answer = () => Promise.resolve({ kind: "denied", reason: "not yours" });
  await node.renew(request);
  const requests = () => node.issuer.requests.length - 1;
  for (let seconds = 0; seconds < 3_600; seconds += 15) {
    node.renewer.retryFailed(10_000);
    assert.equal(node.renewer.failing, 1, `after ${seconds} s`);
    await node.clock.advance({ seconds: 15 });
    await node.clock.until(() => node.scheduler.running === 0);
  }
  assert.ok(requests() > 50 && requests() <= 61, `${requests()} requests in an hour`);
  assert.equal(node.renewer.failures(request.volumeId), requests());
  node.issuer.answer = undefined;
  await node.renew(request);
  assert.equal(node.renewer.failing, 0);
});

Deno.test("an attempt that is in progress when the service is back continues, and no second request is made", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  node.issuer.answer = () => Promise.resolve({ kind: "unavailable", reason: "away" });
  await node.renew(request);
  const answered = Promise.withResolvers<void>();
  node.issuer.answer = async (sent) => {
    await answered.promise;
    return await node.issuer.sign(sent);
  };
  await node.untilDue(request);
  await node.clock.until(() => node.issuer.requests.length === 3);
  node.renewer.retryFailed(10_000);
  answered.resolve();
  await node.clock.until(() => node.scheduler.running === 0);
  assert.deepEqual(node.renewals, ["failed", "renewed"]);
  await node.clock.advance({ minutes: 2 });
  assert.equal(node.issuer.requests.length, 3);
});

Deno.test("a failing volume that is unpublished counts no longer", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  node.issuer.answer = () => Promise.resolve({ kind: "unavailable", reason: "away" });
  await node.renew(request);
  assert.equal(node.renewer.failing, 1);
  await node.publisher.unpublish(request);
  assert.equal(node.renewer.failing, 0);
});

Deno.test("a renewal whose files cannot be written counts as failed, backs off, and recovers", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  const { mounter } = node;
  const replace = mounter.replace.bind(mounter);
  mounter.replace = () => {
    throw new Error("no space left");
  };
  await node.renew(request);
  assert.deepEqual(node.renewals, ["failed"]);
  assert.equal(node.renewer.failures(request.volumeId), 1);
  assert.equal((await node.leaf(request)).serialNumber, serialNumber);
  const next = node.scheduler.nextRun(request.volumeId)!.since(node.clock.now()).total("seconds");
  assert.equal(next, 60, "the pause after a request");
  mounter.replace = replace;
  await node.renew(request);
  assert.deepEqual(node.renewals, ["failed", "renewed"]);
  assert.equal(node.renewer.failures(request.volumeId), 0);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
});

Deno.test("a republish while a renewal waits for the service is answered at once", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  node.issuer.answer = () => new Promise(() => {});
  await node.untilDue(request);
  await node.clock.until(() => node.issuer.requests.length === 2);
  assert.deepEqual(await node.publish(request), { kind: "done" });
});

Deno.test("unpublish during a renewal waits for it, and the volume is not written again", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  node.issuer.answer = (_request, signal) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await node.untilDue(request);
  await node.clock.until(() => node.issuer.requests.length === 2);
  assert.deepEqual(await node.publisher.unpublish(request), { kind: "done" });
  await node.clock.advance({ hours: 20 });
  assert.equal(node.issuer.requests.length, 2);
  await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
});

Deno.test("a new trust bundle is written beside the pair that is there", async () => {
  await using node = await TestNode.create();
  await using other = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const before = await node.leaf(request);
  const bundle = [...node.issuer.trustBundle, ...other.issuer.trustBundle];
  const generation = () => Deno.readLinkSync(`${request.targetPath}/..data`);
  const old = generation();
  await node.trust.update(bundle);
  const current = generation();
  assert.notEqual(current, old);
  await node.trust.update([...bundle].reverse());
  await node.trust.update([]);
  assert.equal(generation(), current, "the same bundle, and none, are not written");
  const text = await node.read(request, "ca.crt") ?? "";
  assert.equal(text.match(/BEGIN CERTIFICATE/g)?.length, 2);
  assert.equal((await node.leaf(request)).serialNumber, before.serialNumber);
});

Deno.test("a certificate that a new trust bundle does not verify is renewed within a minute, any other is not", async () => {
  await using node = await TestNode.create();
  await using other = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const due = node.scheduler.nextRun(request.volumeId);
  await node.trust.update([...node.issuer.trustBundle, ...other.issuer.trustBundle]);
  assert.ok(node.scheduler.nextRun(request.volumeId)?.equals(due!), "its CA is still trusted");
  await node.trust.update(other.issuer.trustBundle);
  const soon = node.scheduler.nextRun(request.volumeId)!.since(node.clock.now()).total("seconds");
  assert.ok(soon > 0 && soon <= 60, `renewed in ${soon} s`);
  // A driver that is killed within that minute receives the bundle again.
  await node.restart();
  await node.trust.update(other.issuer.trustBundle);
  const again = node.scheduler.nextRun(request.volumeId)!.since(node.clock.now()).total("seconds");
  assert.ok(again <= 60, `renewed in ${again} s`);
  await node.renew(request);
  assert.equal(node.issuer.requests.length, 2);
});
