import assert from "node:assert/strict";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { TestNode } from "../../support/node.ts";
import { TestIssuer } from "../../support/test_issuer.ts";

/** A node with a service whose clock stays right when the node's is set. */
async function nodeWithRightService(): Promise<TestNode> {
  const node = await TestNode.create();
  const start = node.clock.now();
  const rightNow = () => start.add({ milliseconds: node.clock.moment().bootMs });
  const issuer = await TestIssuer.create({
    now: rightNow,
    after: node.clock.after.bind(node.clock),
  });
  node.issuer.answer = (request) => issuer.sign(request);
  return node;
}

/** Publishes a volume and renews it, with the node's clock 9 minutes behind: the new certificate is held. */
async function holdRenewed(node: TestNode, duration = "1h") {
  const request = await node.request({ duration });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  node.clock.set(node.clock.now().subtract({ minutes: 9 }));
  await node.renew(request);
  assert.equal((await node.leaf(request)).serialNumber, serialNumber, "held");
  assert.equal(node.issuer.requests.length, 2);
  assert.deepEqual(node.renewals, []);
  return { request, serialNumber };
}

for (
  const [name, minutes, message] of [
    ["behind", -9, /the clock of this node is 540 s behind the certificate service's/],
    // The time of issue is rounded down to a second.
    ["ahead", 6, /the clock of this node is 359 s ahead of the certificate service's/],
  ] as const
) {
  Deno.test(`a volume is not published on a node whose clock is ${Math.abs(minutes)} minutes ${name}: the error names the difference`, async () => {
    await using node = await nodeWithRightService();
    node.clock.set(node.clock.now().add({ minutes }));
    const request = await node.request({ duration: "24h" });
    const outcome = await node.publish(request);
    assert.equal(Math.sign(node.clockSkewsMs[0] ?? 0), -Math.sign(minutes));
    assert.ok(outcome.kind === "unavailable", outcome.kind);
    assert.match(outcome.reason, message);
    await assert.rejects(Deno.lstat(request.targetPath), Deno.errors.NotFound);
    node.clock.set(node.clock.now().subtract({ minutes }));
    assert.deepEqual(await node.publish(request), { kind: "done" });
  });
}

Deno.test("a renewed certificate that is not valid yet by the node's clock is held until it is", async () => {
  await using node = await nodeWithRightService();
  const { request, serialNumber } = await holdRenewed(node);
  const { clock } = node;
  await clock.advance({ minutes: 3, seconds: 58 });
  assert.equal((await node.leaf(request)).serialNumber, serialNumber, "still held");
  await clock.advance({ seconds: 5 });
  await clock.until(() => node.scheduler.running === 0);
  const renewed = await node.leaf(request);
  assert.notEqual(renewed.serialNumber, serialNumber);
  assert.ok(Temporal.Instant.compare(renewed.notBefore, clock.now()) <= 0, "valid by now");
  assert.equal(node.issuer.requests.length, 2, "no second request for it");
});

Deno.test("a held certificate is mounted with the trust bundle that the volume received meanwhile", async () => {
  await using node = await nodeWithRightService();
  const { request, serialNumber } = await holdRenewed(node);
  const { clock } = node;
  const mounted = await node.read(request, "ca.crt");
  const bundle = readCertificates(mounted ?? "")!.map(({ der }) => der);
  await node.trust.update([...bundle, ...(await TestIssuer.create(clock)).trustBundle]);
  const newer = await node.read(request, "ca.crt");
  assert.notEqual(newer, mounted);
  await clock.advance({ minutes: 4, seconds: 3 });
  await clock.until(() => node.scheduler.running === 0);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
  assert.equal(await node.read(request, "ca.crt"), newer);
});

Deno.test("a held certificate is not mounted when a new trust bundle does not verify the old one", async () => {
  await using node = await nodeWithRightService();
  const { request } = await holdRenewed(node);
  await node.trust.update((await TestIssuer.create(node.clock)).trustBundle);
  await node.renew(request);
  assert.equal(node.issuer.requests.length, 3);
});

Deno.test("a held certificate is mounted before the old one expires, also when it is not valid yet", async () => {
  await using node = await nodeWithRightService();
  const { request, serialNumber } = await holdRenewed(node, "10m");
  const { clock } = node;
  await clock.advance({ seconds: 600 * 0.15 });
  await clock.until(() => node.scheduler.running === 0);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("a renew-before of more than half of the lifetime is warned of once, when the volume is published", async () => {
  await using node = await nodeWithRightService();
  await using logs = await captureLogs(["csi-driver", "volume"]);
  const warnings = () =>
    logs.records.filter(({ rawMessage }) => /renew-before/.test(String(rawMessage)));
  const request = await node.request({ duration: "60s", "renew-before": "59s" });
  await node.publish(request);
  assert.equal(warnings().length, 1);
  await node.renew(request);
  await node.restart();
  assert.deepEqual(await node.publish(request), { kind: "done" });
  assert.equal(warnings().length, 1);
  const other = await node.request({ duration: "60s", "renew-before": "30s" });
  await node.publish(other);
  assert.equal(warnings().length, 1);
});

for (
  const [name, skewSeconds, isRenewed] of [
    ["agree", 0, false],
    ["differ by 59 s", 59, false],
    ["differ by 61 s, the node's behind", -61, true],
    ["differ by 62 s, the node's ahead", 62, true],
  ] as const
) {
  for (const measured of ["before", "after"] as const) {
    Deno.test(`a volume without a record is adopted, and ${isRenewed ? "renewed now" : "renewed when it is due"}, where the clocks ${name}, which is measured ${measured} that`, async () => {
      await using node = await nodeWithRightService();
      const request = await node.request({ duration: "1h" });
      await node.publish(request);
      await node.clock.advance({ minutes: 10 });
      node.clock.set(node.clock.now().add({ seconds: skewSeconds }));
      await Deno.remove(`${node.directory}/records`, { recursive: true });
      await node.restart();
      const measure = async () =>
        assert.deepEqual(await node.publish(await node.request()), { kind: "done" });
      if (measured === "before") await measure();
      assert.deepEqual(await node.publish(request), { kind: "done" });
      if (measured === "after") await measure();
      assert.equal(node.issuer.requests.length, 2, "nothing but what measures the clocks");
      const due = node.scheduler.nextRun(request.volumeId)!.since(node.scheduler.now());
      const seconds = due.total("seconds");
      if (isRenewed) assert.ok(seconds <= 60, `due in ${seconds} s`);
      else assert.ok(seconds >= 48 * 60 - 660, `due in ${seconds} s`);
      await node.renew(request);
      const later = node.scheduler.nextRun(request.volumeId)!.since(node.scheduler.now());
      assert.ok(later.total("minutes") >= 48, "renewed once");
    });
  }
}

Deno.test("an adopted volume whose own renewal measures that the clocks differ is renewed by it, once", async () => {
  await using node = await nodeWithRightService();
  const request = await node.request({ duration: "1h" });
  await node.publish(request);
  const { serialNumber } = await node.leaf(request);
  node.clock.set(node.clock.now().subtract({ seconds: 90 }));
  await Deno.remove(`${node.directory}/records`, { recursive: true });
  await node.restart();
  assert.deepEqual(await node.publish(request), { kind: "done" });
  await node.renew(request);
  assert.notEqual((await node.leaf(request)).serialNumber, serialNumber);
  await node.clock.advance({ minutes: 2 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.equal(node.issuer.requests.length, 2);
});
