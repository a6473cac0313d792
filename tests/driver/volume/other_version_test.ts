import assert from "node:assert/strict";
import { recordDirectoryName } from "../../../src/driver/records/record_directory_name.ts";
import type { Volume } from "../../../src/driver/volume/volume_record.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { TestNode } from "../../support/node.ts";

function recordPath(node: TestNode, request: Volume): string {
  return `${node.directory}/records/${recordDirectoryName(request)}/volume.json`;
}

async function readRecord(node: TestNode, request: Volume): Promise<Record<string, unknown>> {
  return JSON.parse(await Deno.readTextFile(recordPath(node, request)));
}

/** A volume that a version of the driver published which accepts its attributes. */
async function publishedByOther(
  node: TestNode,
  attributes: Record<string, string>,
): Promise<Volume> {
  const request = await node.request(attributes);
  assert.notEqual(request.rejectionReason, undefined);
  assert.deepEqual(await node.publish({ ...request, rejectionReason: undefined }), done);
  return request;
}

const done = { kind: "done" };
const others: readonly (readonly [string, Record<string, string>])[] = [
  ["an unknown attribute", { duration: "100h", colour: "red" }],
  ["a duration under the minimum", { duration: "9s" }],
  ["a renew-before that is not accepted", { duration: "100h", "renew-before": "1d" }],
  ["a key size that is not accepted", { duration: "100h", "key-size": "521" }],
  ["an unknown key algorithm", { duration: "100h", "key-algorithm": "ml-dsa" }],
  ["a file mode that is not accepted", { duration: "100h", "file-mode": "0666" }],
  ["a file name that is not accepted", { duration: "100h", "certificate-file": "site+chain.pem" }],
  ["no value", { duration: "" }],
];

Deno.test("a new volume with attributes that the driver does not accept is rejected before a certificate is requested", async () => {
  await using node = await TestNode.create();
  for (const [what, attributes] of others) {
    const outcome = await node.publish(await node.request(attributes));
    assert.ok(outcome.kind === "invalid", what);
    assert.match(outcome.reason, /volume_context\["[a-z-]+"\]: is ".*", expected /, what);
  }
  assert.equal(node.issuer.requests.length, 0);
});

for (const [what, attributes] of others) {
  for (const recorded of [true, false]) {
    const record = recorded ? "its record" : "its mount, without a record";
    Deno.test(`a volume of another version with ${what} is known from ${record}, is not validated again, and is renewed`, async () => {
      await using node = await TestNode.create();
      const request = await publishedByOther(node, attributes);
      const before = await node.leaf(request);
      if (!recorded) {
        await Deno.remove(recordPath(node, request).replace(/\/[^/]*$/, ""), { recursive: true });
      }
      const { healthy, unreadable } = await node.restart();
      assert.deepEqual([healthy, unreadable], [recorded ? 1 : 0, []]);
      assert.deepEqual(await node.publish(request), done);
      assert.equal(
        (await node.leaf(request)).serialNumber,
        before.serialNumber,
        "not issued again",
      );
      await using logs = await captureLogs(["csi-driver", "renewal"]);
      await node.renew(request);
      const after = await node.leaf(request);
      assert.notEqual(after.serialNumber, before.serialNumber);
      assert.deepEqual(node.issuer.requests[1]?.attributes, attributes, "sent verbatim");
      assert.equal(node.issuer.requests[1]?.predecessor, before.serialNumber);
      const kept = await readRecord(node, request);
      assert.deepEqual([kept.attributes, kept.serialNumber], [attributes, after.serialNumber]);
      const warnings = logs.records.filter(({ level }) => level === "warning");
      assert.equal(warnings.length, 1);
      assert.match(String(warnings[0]?.properties.reason), /: is ".*", expected /);
      assert.deepEqual(await node.publish(request), done);
      assert.equal(node.issuer.requests.length, 2);
    });
  }
}

Deno.test("a volume of another version that is damaged is issued again at the republish", async () => {
  await using node = await TestNode.create();
  const request = await publishedByOther(node, { colour: "red" });
  await node.damage(request, (files) => Deno.remove(`${files}/tls.key`));
  assert.deepEqual(await node.publish(request), done);
  assert.equal(node.issuer.requests.length, 2);
  assert.ok(await node.read(request, "tls.key"));
});

Deno.test("a volume of another version that names one file twice is renewed once, with the default names", async () => {
  await using node = await TestNode.create();
  const attributes = { duration: "100h", "certificate-file": "a.pem" };
  const request = await node.request(attributes);
  await node.publish(request);
  const path = recordPath(node, request);
  const text = await Deno.readTextFile(path);
  await Deno.writeTextFile(path, text.replace('"a.pem"', '"a.pem", "privatekey-file": "a.pem"'));
  assert.equal((await node.restart()).repaired, 1);
  await node.clock.until(() => node.issuer.requests.length === 2 && node.scheduler.running === 0);
  assert.ok(await node.read(request, "tls.crt") && await node.read(request, "tls.key"));
  await node.clock.advance({ hours: 1 });
  await node.clock.until(() => node.scheduler.running === 0);
  assert.equal(node.issuer.requests.length, 2);
});

Deno.test("a record of the previous driver is renewed as before and completed, and has what that driver reads", async () => {
  await using node = await TestNode.create();
  const request = await node.request({ duration: "100h" });
  await node.publish(request);
  const due = node.scheduler.nextRun(request.volumeId);
  const { receivedBoot: _boot, bootId: _id, notBefore: _notBefore, ...previous } = await readRecord(
    node,
    request,
  );
  await Deno.writeTextFile(recordPath(node, request), JSON.stringify(previous));
  await node.clock.advance({ hours: 10 });
  assert.equal((await node.restart()).healthy, 1);
  assert.ok(node.scheduler.nextRun(request.volumeId)?.equals(due!));
  const completed = await readRecord(node, request);
  assert.deepEqual([completed.receivedBoot, completed.bootId], [0, "boot-1"]);
  assert.equal(completed.notBefore, String((await node.leaf(request)).notBefore));
  assert.equal(node.issuer.requests.length, 1);
  await node.renew(request);
  const renewed = await readRecord(node, request);
  for (const [key, value] of Object.entries(previous)) {
    if (["issuedAt", "serialNumber", "notAfter"].includes(key)) {
      assert.equal(typeof renewed[key], typeof value, key);
    } else assert.deepEqual(renewed[key], value, key);
  }
});
