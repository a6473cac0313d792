import assert from "node:assert/strict";
import { abortable } from "../../../src/shared/scheduler/abort_signals.ts";
import { derivePublicKey } from "../../../src/shared/crypto/key_pairs.ts";
import { decodePem, encodePem } from "../../../src/shared/crypto/pem.ts";
import { readEcPrivateKey } from "../../../src/shared/crypto/ec_private_key.ts";
import { TestNode } from "../../support/node.ts";

Deno.test("a rejection after its call was aborted is handled, and does not end the program", async () => {
  const unhandled: unknown[] = [];
  const listener = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    unhandled.push(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", listener);
  try {
    const late = Promise.reject(new Error("late"));
    const signal = AbortSignal.abort(new Error("aborted"));
    await assert.rejects(abortable(late, signal), /aborted/);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  } finally {
    globalThis.removeEventListener("unhandledrejection", listener);
  }
  assert.deepEqual(unhandled, []);
});

Deno.test("a renewal whose record cannot be written is not repeated: the sweep writes it when the disk has space again", async () => {
  await using node = await TestNode.create();
  const { store } = node;
  let isFull = false;
  const save = store.save.bind(store);
  store.save = (record, pem) =>
    isFull ? Promise.reject(new Error("no space left")) : save(record, pem);
  await node.restart();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  isFull = true;
  await node.renew(request);
  const renewed = await node.leaf(request);
  await node.clock.advance({ minutes: 11 });
  assert.equal(node.issuer.requests.length, 2);
  assert.notEqual((await store.load()).records[0]?.serialNumber, renewed.serialNumber);
  assert.deepEqual(await node.publish(request), { kind: "done" });
  isFull = false;
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.scheduler.running === 0);
  // A save in real time can exceed its time limit while the clock moves; then the next sweep repeats it.
  if (!node.table.isSaved(request.volumeId)) {
    await node.clock.until(() => node.scheduler.nextRun(".sweep") === undefined);
    await node.clock.advance({ minutes: 5 });
    await node.clock.until(() => node.table.isSaved(request.volumeId));
  }
  assert.equal((await store.load()).records[0]?.serialNumber, renewed.serialNumber);
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("a driver that was killed between the swap and the record reads the certificate from the mount", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  const [before] = (await node.store.load()).records;
  await node.renew(request);
  const renewed = await node.leaf(request);
  await node.store.save(before!, "the old certificate");
  assert.equal((await node.restart()).healthy, 1);
  assert.equal((await node.store.load()).records[0]?.serialNumber, renewed.serialNumber);
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("a volume that is damaged shortly before its renewal is repaired by the next sweep, not by the renewal", async () => {
  await using node = await TestNode.create();
  await node.restart();
  const request = await node.request({ duration: "20m" });
  await node.publish(request);
  const sweep = async () => {
    await node.clock.advance({ minutes: 5 });
    await node.clock.until(() => node.scheduler.running === 0);
  };
  await sweep();
  const due = node.scheduler.nextRun(request.volumeId)!;
  assert.ok(due.since(node.clock.now()).total("minutes") < 12);
  await node.clock.advance({ minutes: 4 });
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  await node.clock.advance({ minutes: 1 });
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok(Temporal.Instant.compare(node.clock.now(), due) < 0);
  assert.match(await node.read(request, "tls.key") ?? "", /PRIVATE KEY/);
});

Deno.test("the sweep leaves a damaged volume whose repair failed to its backoff", async () => {
  await using node = await TestNode.create();
  await node.restart();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  node.issuer.answer = () => {
    const retryAfter = Temporal.Duration.from({ minutes: 8 });
    return Promise.resolve({ kind: "overloaded", reason: "busy", retryAfter });
  };
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  const planned = node.scheduler.nextRun(request.volumeId)!;
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.equal(String(node.scheduler.nextRun(request.volumeId)), String(planned));
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("the sweep removes a volume that the kubelet gave up while the driver runs", async () => {
  await using node = await TestNode.create();
  await node.restart();
  const request = await node.request();
  await node.publish(request);
  await Deno.remove(request.targetPath.replace(/mount$/, "vol_data.json"));
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.table.size === 0);
  await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
  assert.equal(node.scheduler.nextRun(request.volumeId), undefined);
});

Deno.test("a retry that was planned while the clock was a year ahead does not wait for that year", async () => {
  await using node = await TestNode.create();
  await node.restart();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  node.issuer.answer = () => Promise.resolve({ kind: "unavailable", reason: "not for that time" });
  node.clock.set(node.clock.now().add({ hours: 8760 }));
  await node.clock.advance({ minutes: 2 });
  await node.clock.until(() =>
    node.renewer.failures(request.volumeId) > 0 && node.scheduler.running === 0
  );
  node.clock.set(node.clock.now().subtract({ hours: 8760 }));
  node.issuer.answer = undefined;
  await node.clock.advance({ minutes: 10 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.equal(node.renewer.failures(request.volumeId), 0);
  const next = node.scheduler.nextRun(request.volumeId)!;
  assert.ok(next.since(node.scheduler.now()).total("hours") < 100);
});

Deno.test("a key whose public half does not match its private half is detected by the first sweep after the start", async () => {
  await using node = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  await node.damage(request, async (files) => {
    const [key = new Uint8Array()] = decodePem(
      "PRIVATE KEY",
      await Deno.readTextFile(`${files}/tls.key`),
    );
    const { scalar } = readEcPrivateKey(key)!;
    scalar.set([(scalar.at(-1) ?? 0) ^ 1], scalar.length - 1);
    await Deno.writeTextFile(`${files}/tls.key`, encodePem("PRIVATE KEY", key));
  });
  assert.equal((await node.restart()).healthy, 1);
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  const text = await node.read(request, "tls.key") ?? "";
  assert.deepEqual(await derivePublicKey(text), (await node.leaf(request)).spki);
});

Deno.test("a certificate that expired while its record was lost is renewed, not issued as if it were the first", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "10m" });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  const { records: [record] } = await node.store.load();
  await node.store.remove(record!);
  await node.clock.advance({ minutes: 5 });
  await node.restart();
  await node.clock.advance({ minutes: 15 });
  assert.deepEqual(await node.publish(request), { kind: "done" });
  assert.deepEqual(node.issuer.requests.map(({ predecessor }) => predecessor), [
    undefined,
    serialNumber,
  ]);
});
