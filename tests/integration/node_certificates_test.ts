import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { driverPod } from "../support/attested_driver.ts";
import { refusal } from "../support/refusal.ts";
import { type AttackedService, issue, openService, request, wait } from "./attack_fixture.ts";

/** The number of calls to the API server that an action causes. */
async function callsOf({ api }: AttackedService, work: () => Promise<unknown>): Promise<string[]> {
  const before = api.calls.length;
  await work();
  return api.calls.slice(before).map(({ text }) => text);
}

Deno.test("an attestation causes two API calls, a certificate one, and a driver one more each minute", async () => {
  await using service = await openService();
  service.put();
  const { name } = driverPod("node-3");
  const attest = () => service.attest("node-3");
  assert.deepEqual(await callsOf(service, attest), [
    "create tokenreviews",
    `get pods csi-cert-system/${name}`,
  ]);
  const asked = await request();
  const [list, get] = ["list pods csi-cert-system", "get pods shop/web-0"];
  const issue = () => service.driver.issueCertificate(asked, wait);
  const renew = () =>
    service.driver.renewCertificate({ ...asked, predecessorSerialNumber: "a1" }, wait);
  assert.deepEqual(await callsOf(service, issue), [list, get]);
  assert.deepEqual(await callsOf(service, issue), [get]);
  assert.deepEqual(await callsOf(service, renew), [get]);
  await service.clock.advance({ seconds: 61 });
  assert.deepEqual(await callsOf(service, renew), [list, get]);
  const many = () => Promise.all(Array.from({ length: 20 }, issue));
  assert.deepEqual(await callsOf(service, many), new Array(20).fill(get));
});

Deno.test("a driver whose pod was deleted gets no certificate a minute later, though its own is still valid", async () => {
  await using service = await openService();
  service.put();
  await issue(service);
  const { namespace, name, uid } = driverPod("node-1");
  service.api.objects.delete("pods", namespace, name);
  await service.clock.advance({ seconds: 61 });
  const error = await refusal(issue(service));
  // Not PERMISSION_DENIED, which a kubelet takes as final for the pod: the next driver may retry.
  assert.equal(error.code, status.UNAUTHENTICATED);
  assert.match(
    error.message,
    RegExp(`the driver's pod ${uid} no longer runs on node node-1`),
  );
  assert.equal(service.inventory.size, 1);
  // The node's next driver attests, and the pod gets its certificate.
  const { client } = await service.attest("node-1", 2);
  await client.issueCertificate(await request(), wait);
});

Deno.test("a revoked node's connection is closed, and its driver is served after it has attested again", async () => {
  await using service = await openService();
  service.put();
  await issue(service);
  const revoked = service.identity?.current();
  const target = { case: "nodeName", value: "node-1" } as const;
  await service.administrator.revokeCertificate({ target, reason: "stolen disk" }, wait);
  await service.clock.until(() => service.refusedConnections("rejected") === 1);
  assert.equal((await refusal(issue(service))).code, status.UNAVAILABLE);
  // The other node is not affected.
  const others = await refusal(service.otherDriver.issueCertificate(await request(), wait));
  assert.equal(others.code, status.PERMISSION_DENIED);
  // The stolen certificate opens no connection either.
  const thief = service.as(revoked);
  assert.equal(
    (await refusal(thief.issueCertificate(await request(), wait))).code,
    status.UNAVAILABLE,
  );
  assert.ok(service.refusedConnections("peer") > 0);
  await service.clock.advance({ seconds: 61 });
  // An attempt that finds no connection for so long makes the driver attest again.
  await refusal(issue(service));
  await service.clock.until(() => service.identity?.current() !== revoked);
  await issue(service);
});
