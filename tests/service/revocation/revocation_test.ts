import assert from "node:assert/strict";
import {
  issued,
  makeCa,
  openTestService,
  pod,
  reasonOf,
  start,
} from "../../support/service_fixture.ts";

Deno.test("a revoked pod receives no further certificate, another pod does", async () => {
  await using service = await openTestService();
  const { serialNumber } = issued(await service.ask({ attributes: { duration: "24h" } }));
  const { validUntil } = await service.revocation.revoke(pod.uid);
  // Another replica may have issued one for the longest validity, just now.
  assert.equal(String(validUntil), String(start.add({ hours: 720 })));
  const outcome = await service.ask({ predecessor: serialNumber });
  assert.match(reasonOf("denied", outcome), /were revoked; only a new pod gets new ones/);
  issued(await service.ask({ pod: { ...pod, uid: "another" } }));
  assert.equal(String(service.revocation.deniedSince(pod.uid)), String(start));
});

Deno.test("a pod without known certificates can be revoked, for the longest validity", async () => {
  await using service = await openTestService();
  const { validUntil } = await service.revocation.revoke(pod.uid);
  assert.equal(String(validUntil), String(start.add({ hours: 720 })));
  reasonOf("denied", await service.ask());
});

Deno.test("a denial is forgotten when no certificate is requested for the pod any more", async () => {
  await using service = await openTestService({ material: await makeCa() });
  await service.revocation.revoke(pod.uid);
  await service.clock.advance({ hours: 720 });
  assert.notEqual(service.denials.get(pod.uid), undefined);
  await service.clock.advance({ hours: 2 });
  assert.equal(service.denials.get(pod.uid), undefined);
});

Deno.test("a pod that keeps requesting certificates stays denied, since the first time", async () => {
  await using service = await openTestService();
  await service.revocation.revoke(pod.uid);
  for (let days = 0; days < 120; days += 10) {
    await service.clock.advance({ hours: 240 });
    reasonOf("denied", await service.ask());
  }
  assert.equal(String(service.revocation.deniedSince(pod.uid)), String(start));
});

Deno.test("a certificate that was being signed while its pod was revoked is not returned", async () => {
  await using service = await openTestService();
  const sign = service.signer.sign.bind(service.signer);
  service.signer.sign = async (order) => {
    const signed = await sign(order);
    await service.revocation.revoke(pod.uid);
    return signed;
  };
  reasonOf("denied", await service.ask());
  assert.equal(service.inventory.size, 0);
});
