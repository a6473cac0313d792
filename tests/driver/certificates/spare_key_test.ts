import assert from "node:assert/strict";
import { SpareKey } from "../../../src/driver/certificates/spare_key.ts";
import { parseCertificateRequest } from "../../../src/shared/x509/certificate_request.ts";
import { exportPublicKey, generateKeyPair } from "../../../src/shared/crypto/key_pairs.ts";
import { TestNode } from "../../support/node.ts";

Deno.test("a spare key has a request that proves possession of it, and is returned once", async () => {
  const spare = new SpareKey();
  assert.equal(spare.take("ecdsa-p256"), undefined, "no key is made before the first refill");
  await Promise.all([spare.refill(), spare.refill()]);
  assert.equal(spare.take("ecdsa-p384"), undefined, "not of that algorithm");
  const prepared = spare.take("ecdsa-p256")!;
  const parsed = await parseCertificateRequest(prepared.certificateRequest);
  assert.ok(parsed.kind === "request");
  assert.deepEqual(parsed.spki, await exportPublicKey(prepared.keyPair.publicKey));
  assert.equal(spare.take("ecdsa-p256"), undefined);
  await spare.refill();
  assert.notDeepEqual(spare.take("ecdsa-p256")?.certificateRequest, prepared.certificateRequest);
});

Deno.test("a spare that cannot be made is made by the next refill", async () => {
  let fails = true;
  const spare = new SpareKey((algorithm) =>
    fails ? Promise.reject(new Error("no entropy")) : generateKeyPair(algorithm)
  );
  await spare.refill();
  assert.equal(spare.take("ecdsa-p256"), undefined);
  fails = false;
  await spare.refill();
  assert.ok(spare.take("ecdsa-p256"));
});

Deno.test("no two volumes and no two certificates of one volume share a key", async () => {
  await using node = await TestNode.create();
  const requests = [];
  for (let n = 0; n < 4; n++) requests.push(await node.request());
  for (const request of requests.slice(0, 2)) await node.publish(request);
  await Promise.all(requests.slice(2).map((request) => node.publish(request)));
  await node.renew(requests[0]!);
  const keys = await Promise.all(node.issuer.requests.map(async ({ certificateRequest }) => {
    const parsed = await parseCertificateRequest(certificateRequest);
    return parsed.kind === "request" ? parsed.spki.toHex() : "";
  }));
  assert.ok(keys.length >= 5);
  assert.equal(new Set(keys).size, keys.length);
  for (const request of requests) {
    assert.ok(keys.includes((await node.leaf(request)).spki.toHex()));
  }
});
