import assert from "node:assert/strict";
import { trustBundlePem } from "../../../src/driver/certificates/certificate_requester.ts";
import { readMountedCertificates } from "../../../src/driver/volume/mounted_certificates.ts";
import { TestNode } from "../../support/node.ts";
import { TestIssuer } from "../../support/test_issuer.ts";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";

async function anchorsIn(node: TestNode, request: Volume): Promise<number | undefined> {
  return (await node.read(request, "ca.crt"))?.match(/BEGIN CERTIFICATE/g)?.length;
}

/** The sweep may have had the volume's lock; then the volume is tried again after a second. */
async function checkInterval({ clock, scheduler }: TestNode): Promise<void> {
  for (const wait of [{ minutes: 5 }, { seconds: 1 }]) {
    await clock.advance(wait);
    await clock.until(() => scheduler.running === 0);
  }
}

/** A node with a volume, and a bundle of two anchors that the volume does not have yet. */
async function nodeWithVolume() {
  const node = await TestNode.create();
  await using other = await TestNode.create();
  const request = await node.request();
  await node.publish(request);
  return { node, request, bundle: [...node.issuer.trustBundle, ...other.issuer.trustBundle] };
}

Deno.test("a volume that is locked when a bundle arrives gets it a second after the lock is released", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  {
    using _lock = node.table.locks.tryAcquire(request.volumeId);
    await node.trust.update(bundle);
    await node.clock.advance({ seconds: 3 });
    assert.equal(await anchorsIn(node, request), 1);
  }
  await node.clock.advance({ seconds: 1 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("a clock that steps back meanwhile does not keep a volume from the bundle", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  {
    using _lock = node.table.locks.tryAcquire(request.volumeId);
    await node.trust.update(bundle);
    assert.equal(await anchorsIn(node, request), 1);
  }
  node.clock.set(node.clock.now().subtract({ hours: 1 }));
  await node.clock.advance({ seconds: 1 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("a check that runs when another bundle arrives does not write the old one any more", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  const second = await node.request();
  await node.publish(second);
  {
    using _lock = node.table.locks.tryAcquire(second.volumeId);
    await node.trust.update(bundle);
  }
  const newer = [...bundle, ...(await TestIssuer.create(node.clock)).trustBundle];
  const { mounter } = node;
  const read = mounter.read.bind(mounter);
  const replace = mounter.replace.bind(mounter);
  const written: (string | undefined)[] = [];
  let updating: Promise<void> | undefined;
  mounter.read = (...given) => {
    mounter.read = read;
    updating = node.trust.update(newer);
    return read(...given);
  };
  mounter.replace = (path, files) => {
    written.push(files.contents.get("ca.crt"));
    return replace(path, files);
  };
  // The check finds the volume that was locked before.
  await node.clock.advance({ seconds: 1 });
  await node.clock.until(() => updating !== undefined && node.scheduler.running === 0);
  await updating;
  assert.deepEqual(written, [trustBundlePem(newer), trustBundlePem(newer)]);
  assert.deepEqual([await anchorsIn(node, request), await anchorsIn(node, second)], [3, 3]);
});

Deno.test("a pair that is renewed while its bundle is being compared remains, and has the new bundle", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  const { mounter } = node;
  const read = mounter.read.bind(mounter);
  mounter.read = async (...given) => {
    mounter.read = read;
    const found = await read(...given);
    await node.renew(request);
    return found;
  };
  await node.trust.update(bundle);
  assert.equal(
    (await node.leaf(request)).serialNumber,
    node.table.get(request.volumeId)?.serialNumber,
  );
  assert.equal(node.issuer.requests.length, 2);
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("a bundle that is replaced while its first volume is being read is not written", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  const newer = [...bundle, ...(await TestIssuer.create(node.clock)).trustBundle];
  const { mounter } = node;
  const read = mounter.read.bind(mounter);
  const replace = mounter.replace.bind(mounter);
  const written: (string | undefined)[] = [];
  let reads = 0;
  let updating: Promise<void> | undefined;
  mounter.read = async (...given) => {
    const found = await read(...given);
    // With the volume's lock.
    if (++reads === 2) updating = node.trust.update(newer);
    return found;
  };
  mounter.replace = (path, files) => {
    written.push(files.contents.get("ca.crt"));
    return replace(path, files);
  };
  await node.trust.update(bundle);
  await updating;
  await node.clock.advance({ seconds: 1 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.deepEqual(written, [trustBundlePem(newer)]);
  assert.equal(await anchorsIn(node, request), 3);
});

Deno.test("after disposal no timer and no round is left", async () => {
  const { node, bundle } = await nodeWithVolume();
  await using _node = node;
  const { timers } = node.clock;
  await node.trust.update(bundle);
  assert.equal(node.clock.timers, timers + 1);
  const updating = node.trust.update(bundle);
  node.trust[Symbol.dispose]();
  await updating;
  assert.equal(node.clock.timers, timers);
});

Deno.test("a volume that is adopted with an older bundle gets the current one within the check interval", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  await node.store.remove(request);
  await node.restart();
  await node.trust.update(bundle);
  await node.publish(request);
  assert.equal(await anchorsIn(node, request), 1);
  await checkInterval(node);
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("a volume whose bundle cannot be written does not keep the others from theirs", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  const second = await node.request();
  await node.publish(second);
  const { mounter } = node;
  const replace = mounter.replace.bind(mounter);
  mounter.replace = (path, files) => {
    if (path === request.targetPath) throw new Error("full");
    return replace(path, files);
  };
  await node.trust.update(bundle);
  assert.deepEqual([await anchorsIn(node, request), await anchorsIn(node, second)], [1, 2]);
  mounter.replace = replace;
  await checkInterval(node);
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("a volume that cannot be read does not keep the others from their bundle, nor from the report", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  const second = await node.request();
  await node.publish(second);
  const { mounter } = node;
  const read = mounter.read.bind(mounter);
  mounter.read = (path, names) =>
    path === request.targetPath ? Promise.reject(new Error("EACCES")) : read(path, names);
  await node.trust.update(bundle);
  assert.equal(await anchorsIn(node, second), 2);
  const reported = await readMountedCertificates(node.table.all(), mounter);
  assert.deepEqual(reported.map(({ volumeId }) => volumeId), [second.volumeId]);
  mounter.read = read;
  assert.equal(await anchorsIn(node, request), 1);
  await checkInterval(node);
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("while the service is not watched, the bundle of an answer remains", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  await node.trust.update(node.issuer.trustBundle);
  node.trust.disconnected();
  node.issuer.furtherAnchors = bundle.slice(1);
  await node.renew(request);
  assert.equal(await anchorsIn(node, request), 2);
  await node.clock.advance({ minutes: 30 });
  assert.equal(await anchorsIn(node, request), 2);
});

Deno.test("the checks of the bundles do not keep the sweep from a damaged volume", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  await node.restart();
  await node.trust.update(bundle);
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  await node.clock.advance({ minutes: 5 });
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok(await node.leaf(request));
});

Deno.test("a bundle with something that is not a certificate is written into no volume, and the last one remains in use", async () => {
  const { node, request, bundle } = await nodeWithVolume();
  await using _node = node;
  await node.trust.update(bundle);
  const before = await node.read(request, "ca.crt");
  for (const broken of [[Uint8Array.of(1, 2, 3)], [...bundle, Uint8Array.of(1, 2, 3)]]) {
    await node.trust.update(broken);
    assert.equal(await node.read(request, "ca.crt"), before);
  }
  const adopted = await node.request();
  await node.publish(adopted);
  assert.equal(await anchorsIn(node, adopted), 1);
  await checkInterval(node);
  assert.equal(await anchorsIn(node, adopted), 2);
});
