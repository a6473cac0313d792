import assert from "node:assert/strict";
import { VolumeWriter } from "../../../src/driver/volume/volume_writer.ts";
import { TestNode } from "../../support/node.ts";

const done = { kind: "done" };

Deno.test("a published volume holds a valid pair, the trust bundle and a record", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  assert.deepEqual(await node.publish(request), done);
  const leaf = await node.leaf(request);
  const { records } = await node.store.load();
  assert.equal(records.length, 1);
  assert.equal(records[0]?.serialNumber, leaf.serialNumber);
  assert.ok(records[0]?.issuedAt.equals(node.clock.now()));
  assert.ok(node.scheduler.nextRun(request.volumeId));
  assert.match(await node.read(request, "ca.crt") ?? "", /BEGIN CERTIFICATE/);
});

Deno.test("no certificate is issued for a target whose parent is missing, and the next call succeeds when it exists", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  const parent = request.targetPath.slice(0, -"/mount".length);
  await Deno.rename(parent, `${parent}-elsewhere`);
  const outcome = await node.publish(request);
  assert.equal(outcome.kind, "unusable");
  assert.match("reason" in outcome ? outcome.reason : "", /does not exist.*volumeMount/);
  assert.equal(node.issuer.requests.length, 0);
  await assert.rejects(Deno.stat(parent), Deno.errors.NotFound);
  await Deno.rename(`${parent}-elsewhere`, parent);
  assert.deepEqual(await node.publish(request), done);
});

Deno.test("two publishes at the same time issue one certificate", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  const outcomes = await Promise.all([node.publish(request), node.publish(request)]);
  assert.deepEqual(outcomes.map(({ kind }) => kind).sort(), ["busy", "done"]);
  assert.deepEqual(await node.publish(request), done);
  assert.equal(node.issuer.requests.length, 1);
});

Deno.test("publishes half a second apart, then a hundred times over an hour, issue one certificate, also with the service away", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "24h" });
  assert.deepEqual(await node.publish(request), done);
  node.issuer.answer = () => Promise.resolve({ kind: "unavailable", reason: "away" });
  await node.clock.advance({ milliseconds: 500 });
  for (let republish = 0; republish < 100; republish++) {
    assert.deepEqual(await node.publish(request), done);
    await node.clock.advance({ seconds: 36 });
  }
  assert.equal(node.issuer.requests.length, 1);
});

Deno.test("a republish with other attributes is a conflict that names them and changes nothing", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "24h" });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  const other = await node.request({ duration: "48h" }, { uid: request.pod.uid });
  const outcome = await node.publish(other);
  assert.equal(outcome.kind, "conflict");
  assert.match("reason" in outcome ? outcome.reason : "", /duration/);
  assert.equal((await node.leaf(request)).serialNumber, serialNumber);
});

Deno.test("the same volume at another target is refused while the first is published", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const other = { ...request, targetPath: request.targetPath.replace("/certs/", "/other/") };
  await Deno.mkdir(other.targetPath.slice(0, -"/mount".length));
  assert.equal((await node.publish(other)).kind, "occupied");
  await node.publisher.unpublish(request);
  assert.deepEqual(await node.publish(other), done);
});

for (
  const [answer, kind] of [
    [{ kind: "denied", reason: "not yours" }, "denied"],
    [{ kind: "unavailable", reason: "away" }, "unavailable"],
    [{ kind: "overloaded", reason: "busy", retryAfter: undefined }, "overloaded"],
    [{ kind: "issued", chain: [new Uint8Array([1, 2, 3])], trustBundle: [] }, "unavailable"],
    [{ kind: "issued", chain: [], trustBundle: [] }, "unavailable"],
  ] as const
) {
  Deno.test(`a first publish that is answered with ${JSON.stringify(answer)} leaves nothing behind`, async () => {
    await using node = await TestNode.create();
    const request = await node.request();
    node.issuer.answer = () => Promise.resolve(answer as never);
    assert.equal((await node.publish(request)).kind, kind);
    assert.equal(await node.mounter.state(request.targetPath), "absent");
    await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
    assert.equal((await node.store.load()).records.length, 0);
    assert.equal(node.table.size, 0);
    assert.equal(node.scheduler.size, 0);
    // The kubelet's next attempt succeeds.
    node.issuer.answer = undefined;
    assert.deepEqual(await node.publish(request), done);
  });
}

Deno.test("an answer for another key, or under another trust bundle, is not mounted", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  const other = await node.request();
  const otherOutcome = await (async () => {
    await node.publish(other);
    return await node.issuer.sign(node.issuer.requests[0]!);
  })();
  node.issuer.answer = () => Promise.resolve(otherOutcome);
  const outcome = await node.publish(request);
  assert.match("reason" in outcome ? outcome.reason : "", /another key/);
  await using otherNode = await TestNode.create();
  node.issuer.answer = async (request) => {
    const answer = await node.issuer.sign(request);
    return answer.kind === "issued"
      ? { ...answer, trustBundle: otherNode.issuer.trustBundle }
      : answer;
  };
  const untrusted = await node.publish(request);
  assert.match("reason" in untrusted ? untrusted.reason : "", /does not verify/);
  assert.equal(await node.mounter.state(request.targetPath), "absent");
});

Deno.test("a call that ends while the service works on it mounts nothing", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  const call = new AbortController();
  node.issuer.answer = async (request) => {
    call.abort(new Error("the kubelet cancelled"));
    return await node.issuer.sign(request);
  };
  await assert.rejects(node.publish(request, call.signal), /cancelled/);
  assert.equal(await node.mounter.state(request.targetPath), "absent");
  assert.equal(node.table.size, 0);
});

Deno.test("a call that ends while another volume is mounted mounts nothing", async () => {
  await using node = await TestNode.create();
  const [first, second] = [await node.request(), await node.request()];
  await node.publish(first);
  const leaf = await node.leaf(first);
  const { notBefore, notAfter } = leaf;
  const { wall: issuedAt, bootMs: receivedBootMs, bootId } = node.clock.moment();
  const issued = {
    kind: "issued",
    leaf,
    terms: { notBefore, notAfter, issuedAt, receivedBootMs, bootId },
    clockSkewMs: 0,
    certificatePem: "certificate",
    privateKeyPem: "key",
    trustBundlePem: "bundle",
  } as const;
  const writer = new VolumeWriter(node);
  const call = new AbortController();
  const calls = [
    writer.write(first, issued, new AbortController().signal),
    writer.write(second, issued, call.signal),
  ];
  call.abort(new Error("the kubelet cancelled"));
  await assert.rejects(calls[1]!, /cancelled/);
  await calls[0];
  assert.equal(await node.read(first, "tls.crt"), "certificate");
  assert.equal(await node.mounter.state(second.targetPath), "absent");
  assert.equal(node.table.get(second.volumeId), undefined);
});

Deno.test("a service that does not answer is unavailable after 20 seconds", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  node.issuer.answer = () => new Promise(() => {});
  const outcome = node.publish(request);
  await node.clock.until(() => node.issuer.requests.length === 1);
  await node.clock.advance({ seconds: 20 });
  assert.equal((await outcome).kind, "unavailable");
});

Deno.test("a mounted volume that lost a file is issued again in place", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  assert.deepEqual(await node.publish(request), done);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
  assert.equal(node.issuer.requests[1]?.predecessor, serialNumber);
});

Deno.test("a denial for a volume that is mounted is not final for the kubelet, which would send no unpublish", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  node.issuer.answer = () => Promise.resolve({ kind: "denied", reason: "not any more" });
  assert.deepEqual(await node.publish(request), { kind: "unavailable", reason: "not any more" });
});

Deno.test("a mount without a record is adopted: no second certificate, and a record again", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await Deno.remove(`${node.directory}/records`, { recursive: true });
  await Deno.mkdir(`${node.directory}/records`);
  await node.restart();
  assert.equal(node.table.size, 0);
  assert.deepEqual(await node.publish(request), done);
  assert.equal(node.issuer.requests.length, 1);
  assert.equal((await node.store.load()).records.length, 1);
  assert.ok(node.scheduler.nextRun(request.volumeId));
});

Deno.test("a changed group is applied to the same certificate", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  const gid = Deno.gid() ?? 0;
  assert.deepEqual(await node.publish({ ...request, group: gid }), done);
  const file = await Deno.stat(`${request.targetPath}/tls.key`);
  assert.equal((file.mode ?? 0) & 0o7777, 0o640);
  assert.equal(file.gid, gid);
  assert.equal((await node.leaf(request)).serialNumber, serialNumber);
  assert.equal(node.issuer.requests.length, 1);
});

Deno.test("file names, modes and a second volume of the same pod are as their attributes say", async () => {
  await using node = await TestNode.create();
  const request = await node.request({
    "certificate-file": "server.pem",
    "privatekey-file": "server.key",
    "ca-file": "roots.pem",
    "file-mode": "0400",
    "key-algorithm": "ed25519",
  });
  await node.publish(request);
  const names = [...Deno.readDirSync(request.targetPath)].map(({ name }) => name)
    .filter((name) => !name.startsWith("..")).sort();
  assert.deepEqual(names, ["roots.pem", "server.key", "server.pem"]);
  assert.equal((Deno.statSync(`${request.targetPath}/server.key`).mode ?? 0) & 0o7777, 0o400);
});

Deno.test("unpublish removes mount, record and schedule, and can be repeated", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  for (let times = 0; times < 3; times++) {
    assert.deepEqual(await node.publisher.unpublish(request), done);
  }
  await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
  assert.equal((await node.store.load()).records.length, 0);
  assert.equal(node.table.size, 0);
  assert.equal(node.scheduler.nextRun(request.volumeId), undefined);
});

Deno.test("unpublish at another target than the volume's leaves the volume and its renewal", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const due = node.scheduler.nextRun(request.volumeId);
  const other = await node.request();
  const { volumeId } = request;
  assert.deepEqual(
    await node.publisher.unpublish({ volumeId, targetPath: other.targetPath }),
    done,
  );
  assert.ok(await node.leaf(request));
  assert.ok(due !== undefined && node.scheduler.nextRun(volumeId)?.equals(due));
});

Deno.test("unpublish of a volume that was never published succeeds", async () => {
  await using node = await TestNode.create();
  assert.deepEqual(await node.publisher.unpublish(await node.request()), done);
});

Deno.test("unpublish during a publish is busy and loses nothing", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  const requested = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  node.issuer.answer = async (request) => {
    requested.resolve();
    await released.promise;
    return await node.issuer.sign(request);
  };
  const publishing = node.publish(request);
  await requested.promise;
  assert.equal((await node.publisher.unpublish(request)).kind, "busy");
  released.resolve();
  assert.deepEqual(await publishing, done);
  assert.ok(node.scheduler.nextRun(request.volumeId));
  assert.deepEqual(await node.publisher.unpublish(request), done);
});

Deno.test("a publish whose record cannot be written leaves no mount", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  node.store.save = () => Promise.reject(new Error("no space left"));
  await assert.rejects(node.publish(request), /no space left/);
  await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
  assert.equal(node.table.size, 0);
});
