import assert from "node:assert/strict";
import { dirname } from "node:path";
import { TestNode } from "../../support/node.ts";

Deno.test("a restart issues nothing for a healthy volume and renews it at the same instant as before", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  const due = node.scheduler.nextRun(request.volumeId);
  await node.clock.advance({ hours: 10 });
  const restored = await node.restart();
  assert.deepEqual(restored, { healthy: 1, repaired: 0, removed: 0, unreadable: [] });
  assert.ok(node.scheduler.nextRun(request.volumeId)?.equals(due!));
  assert.equal(node.issuer.requests.length, 1);
  await node.renew(request);
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("a volume that was damaged while the driver was not running is issued again in place", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await node.damage(request, (files) => Deno.remove(`${files}/tls.crt`));
  assert.equal((await node.restart()).repaired, 1);
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok(await node.leaf(request));
});

Deno.test("a volume that was unmounted while the kubelet still has it is issued and mounted again", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await node.mounter.unpublish(request.targetPath);
  assert.equal((await node.restart()).repaired, 1);
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok(await node.leaf(request));
});

Deno.test("a volume that the kubelet gave up while the driver was not running is removed", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await Deno.remove(request.targetPath.replace(/mount$/, "vol_data.json"));
  assert.equal((await node.restart()).removed, 1);
  await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
  assert.equal((await node.store.load()).records.length, 0);
  assert.equal(node.scheduler.nextRun(request.volumeId), undefined);
});

Deno.test("a volume that cannot be looked up does not keep the driver from starting, and is not removed", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const { lstat } = node.files;
  node.files.lstat = (path) =>
    String(path).endsWith("/vol_data.json")
      ? Promise.reject(new Deno.errors.PermissionDenied("EACCES"))
      : lstat(path);
  // A plain volume is no mount.
  node.mounter.mounted = () => [request.targetPath];
  assert.equal((await node.restart()).repaired, 1);
  assert.ok(await node.leaf(request));
});

/** A volume that is mounted, as its mounter reports, and that the driver does not know. */
async function nodeWithUnknownMount() {
  const node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await Deno.remove(`${node.directory}/records`, { recursive: true });
  // A plain volume is no mount.
  node.mounter.mounted = () => [request.targetPath];
  return { node, request, kubeletRecord: `${dirname(request.targetPath)}/vol_data.json` };
}

Deno.test("a mount whose volume the kubelet makes while it is looked up is not removed", async () => {
  const { node, request, kubeletRecord } = await nodeWithUnknownMount();
  await using _node = node;
  const { lstat } = node.files;
  let lookups = 0;
  node.files.lstat = (path) =>
    path === kubeletRecord && ++lookups === 1
      ? Promise.reject(new Deno.errors.NotFound())
      : lstat(path);
  await node.restart();
  assert.ok(lookups >= 2);
  assert.ok(await node.leaf(request));
});

Deno.test("a publish while an abandoned mount is removed at its target is busy, and the next one mounts", async () => {
  const { node, request, kubeletRecord } = await nodeWithUnknownMount();
  await using _node = node;
  await Deno.remove(kubeletRecord);
  const [begun, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const { mounter } = node;
  const unpublish = mounter.unpublish.bind(mounter);
  mounter.unpublish = async (targetPath) => {
    begun.resolve();
    await released.promise;
    await unpublish(targetPath);
  };
  const restarting = node.restart();
  await begun.promise;
  assert.equal((await node.publish(request)).kind, "busy");
  released.resolve();
  await restarting;
  await Deno.writeTextFile(kubeletRecord, "{}");
  assert.deepEqual(await node.publish(request), { kind: "done" });
  assert.equal(node.issuer.requests.length, 2);
  assert.ok(await node.leaf(request));
});

Deno.test("a certificate that expired while the driver was not running is renewed at once", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10h" });
  await node.publish(request);
  node.clock.set(node.clock.now().add({ hours: 30 }));
  await node.restart();
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok((await node.leaf(request)).notAfter.since(node.clock.now()).total("hours") > 9);
});

Deno.test("an unreadable record does not keep the driver from starting; the next republish writes it again", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const [directory] = [...Deno.readDirSync(`${node.directory}/records`)]
    .filter(({ name }) => !name.startsWith("."));
  await Deno.writeTextFile(`${node.directory}/records/${directory?.name}/volume.json`, "{");
  const { unreadable } = await node.restart();
  assert.equal(unreadable.length, 1);
  assert.equal(node.reconciler.unreadableRecords, 1);
  assert.deepEqual(await node.publish(request), { kind: "done" });
  assert.equal(node.issuer.requests.length, 1);
  assert.equal((await node.store.load()).records.length, 1);
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.reconciler.unreadableRecords === 0);
});

/** Rewrites the one record that a node has. */
async function changeRecord(
  node: TestNode,
  change: (record: Record<string, unknown>) => void,
): Promise<void> {
  const [directory] = [...Deno.readDirSync(`${node.directory}/records`)];
  const path = `${node.directory}/records/${directory?.name}/volume.json`;
  const record = JSON.parse(await Deno.readTextFile(path));
  change(record);
  await Deno.writeTextFile(path, JSON.stringify(record));
}

Deno.test("a record whose target is a directory of another program removes nothing there", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  const other = `${node.directory}/other`;
  await Deno.mkdir(other);
  await Deno.writeTextFile(`${other}/file`, "");
  await changeRecord(node, (record) => record.targetPath = other);
  assert.equal((await node.restart()).unreadable.length, 1);
  assert.deepEqual([...Deno.readDirSync(other)].map(({ name }) => name), ["file"]);
  assert.deepEqual(await node.publish(request), { kind: "done" });
  assert.equal(node.issuer.requests.length, 1);
});

Deno.test("after a restart in the same boot the age does not depend on the wall clock, which stepped back", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10m" });
  await node.publish(request);
  await node.clock.advance({ minutes: 7 });
  node.clock.set(node.clock.now().subtract({ minutes: 4 }));
  await node.restart();
  const due = node.scheduler.nextRun(request.volumeId)!.since(node.scheduler.now());
  assert.ok(due.total("seconds") < 84, `due in ${due}`);
});

for (const [minutes, isRenewed] of [[4, false], [10, true]] as const) {
  Deno.test(`a certificate is ${isRenewed ? "renewed at once" : "kept"} where the clock has stepped back by ${minutes} minutes since its receipt`, async () => {
    await using node = await TestNode.create();
    const request = await node.request({ duration: "10h" });
    await node.publish(request);
    await node.restart();
    node.clock.set(node.clock.now().subtract({ minutes }));
    for (let minute = 0; minute < 3; minute++) {
      await node.clock.advance({ minutes: 1 });
      await node.clock.until(() => node.scheduler.running === 0);
    }
    assert.equal(node.issuer.requests.length, isRenewed ? 2 : 1);
  });
}

Deno.test("after a reboot with a clock that shows a time before the receipt the volume is renewed within a minute", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  node.clock.bootId = "boot-2";
  node.clock.set(node.clock.now().subtract({ minutes: 2 }));
  assert.equal((await node.restart()).healthy, 1);
  const due = node.scheduler.nextRun(request.volumeId)!.since(node.scheduler.now());
  assert.ok(due.total("seconds") <= 60, `due in ${due}`);
  await node.renew(request);
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("the sweep repairs a pair that was damaged while the driver runs", async () => {
  await using node = await TestNode.create();
  await node.restart();
  const request = await node.request();
  await node.publish(request);
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok(await node.read(request, "tls.key"));
});
