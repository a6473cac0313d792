import assert from "node:assert/strict";
import { ServingCertificate } from "../../../src/service/issuing/serving_certificate.ts";
import { type Certificate, readCertificates } from "../../../src/shared/x509/certificate.ts";
import { derivePublicKey, importPrivateKey } from "../../../src/shared/crypto/key_pairs.ts";
import { verifyChain } from "../../../src/shared/x509/chain.ts";
import { makeCa, openTestService, start } from "../../support/service_fixture.ts";

const name = "cert-service.csi-cert-driver.internal";

function leafOf(serving: ServingCertificate): Certificate {
  const [leaf] = readCertificates(serving.current().certificatePem) ?? [];
  assert(leaf !== undefined);
  return leaf;
}

Deno.test("the serving certificate has one name, is for servers only, and belongs to its key", async () => {
  await using service = await openTestService();
  await using serving = await ServingCertificate.start(service);
  const leaf = leafOf(serving);
  assert.deepEqual([leaf.commonName, leaf.dnsNames], [name, [name]]);
  assert.deepEqual([leaf.ipAddresses, leaf.uris, leaf.isCa], [[], [], false]);
  assert.equal(String(leaf.notAfter), "2026-03-02T12:00:00Z");
  assert.deepEqual(await derivePublicKey(serving.current().privateKeyPem), leaf.spki);
  assert.equal((await importPrivateKey(serving.current().privateKeyPem)).kind, "key");
  const anchors = [...service.currentCa.anchors];
  assert.equal((await verifyChain([leaf], anchors, start)).kind, "verified");
  assert.equal(service.inventory.size, 0);
});

Deno.test("it has the name of SERVING_NAME, and no other", async () => {
  await using service = await openTestService();
  const servingName = "cert-service.csi-cert-system.svc.cluster.local";
  await using serving = await ServingCertificate.start({ ...service, servingName });
  const leaf = leafOf(serving);
  assert.deepEqual([leaf.commonName, leaf.dnsNames], [servingName, [servingName]]);
});

Deno.test("it is renewed before it expires, with another key, again and again", async () => {
  await using service = await openTestService();
  await using serving = await ServingCertificate.start(service);
  let changes = 0;
  using _subscription = serving.onChange(() => changes++);
  const keys = new Set([serving.current().privateKeyPem]);
  for (let renewals = 1; renewals <= 4; renewals++) {
    await service.clock.advance({ hours: 15 });
    assert.equal(changes, renewals - 1);
    await service.clock.advance({ hours: 1 });
    await service.clock.until(() => changes === renewals);
    keys.add(serving.current().privateKeyPem);
    const left = service.clock.now().until(leafOf(serving).notAfter).total("hours");
    assert(left > 23, `${left} hours left`);
  }
  assert.equal(keys.size, 5);
});

Deno.test("a new CA signs the serving certificate at once", async () => {
  await using service = await openTestService();
  await using serving = await ServingCertificate.start(service);
  const next = await makeCa({ commonName: "Next CA" });
  const changed = Promise.withResolvers<void>();
  using _subscription = serving.onChange(() => changed.resolve());
  service.currentCa.replace(next);
  await service.clock.advance({ milliseconds: 1 });
  await changed.promise;
  assert.equal(leafOf(serving).issuer, next.issuer.certificate.subject);
});

Deno.test("it is not valid for longer than the CA, and there is none when the CA has expired", async () => {
  const material = await makeCa({ days: 1 });
  await using service = await openTestService({ material });
  await service.clock.advance({ hours: 20 });
  {
    await using serving = await ServingCertificate.start(service);
    assert.equal(String(leafOf(serving).notAfter), String(material.issuer.certificate.notAfter));
  }
  await service.clock.advance({ hours: 5 });
  await assert.rejects(
    ServingCertificate.start(service),
    /the CA is valid until .*; replace it/,
  );
});

Deno.test("after disposal it is not renewed", async () => {
  await using service = await openTestService();
  const serving = await ServingCertificate.start(service);
  await serving[Symbol.asyncDispose]();
  service.currentCa.replace(await makeCa());
  assert.equal(service.scheduler.size, 0);
});
