import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { onAttestation, showToken } from "./attestation_attacks.ts";
import { refusal } from "../support/refusal.ts";
import {
  issue,
  leafOf,
  openService,
  pod,
  podPair,
  request,
  type ServiceClient,
  wait,
} from "./attack_fixture.ts";
import { byCallers } from "./caller_attacks.ts";
import { driverToken } from "../support/attested_driver.ts";
import { onPods } from "./pod_attacks.ts";
import { byRequests, onOthers, outages } from "./request_attacks.ts";

const { UNAVAILABLE, PERMISSION_DENIED } = status;

Deno.test("each attack is refused with its code, and nothing is signed", async (t) => {
  await using service = await openService();
  for (const row of [...byCallers, ...onPods, ...byRequests, ...onOthers, ...outages]) {
    await t.step(row.attack, async () => {
      service.put();
      const before = service.api.calls.length;
      const refusedBefore = service.refusedConnections(row.refused ?? "");
      const error = await refusal(row.run(service));
      assert.equal(status[error.code], status[row.code], error.message);
      assert.match(error.message, row.message);
      assert.equal(service.inventory.size, 0);
      if (row.refused !== undefined) {
        assert.ok(service.refusedConnections(row.refused) > refusedBefore, row.refused);
      }
      if (row.calls !== undefined) assert.equal(service.api.calls.length - before, row.calls);
    });
  }
  await t.step("while the pod's own driver gets what it asks for", async () => {
    service.put();
    await issue(service);
    assert.equal(service.inventory.size, 1);
  });
});

Deno.test("each invalid token is answered with its status and reason, and causes a known number of API calls", async (t) => {
  await using service = await openService();
  for (const row of onAttestation) {
    await t.step(row.attack, async () => {
      const token = row.token(service);
      const before = service.api.calls.length;
      const { status, fields, body } = await showToken(service, token);
      assert.deepEqual([status, Object.keys(body)], [row.status, ["error"]]);
      assert.match(body.error ?? "", row.message);
      assert.equal(fields.has("retry-after"), row.status === 503);
      const calls = service.api.calls.slice(before).map(({ text }) => text);
      assert.equal(calls.length, row.calls.length, `${calls}`);
      for (const [index, call] of row.calls.entries()) assert.match(calls[index] ?? "", call);
    });
  }
  await t.step("while a driver's own token is exchanged for a certificate", async () => {
    const { status } = await showToken(service, driverToken(service.api, "node-3"));
    assert.equal(status, 200);
  });
});

Deno.test("attributes are those of the pod's spec, whatever the driver sends", async () => {
  await using service = await openService();
  const csi = (attributes: Record<string, string>) => ({
    driver: "csi.k8s.cert-driver",
    volumeAttributes: attributes,
  });
  service.put({
    spec: {
      volumes: [
        { name: "certs", csi: csi({ duration: "1h" }) },
        { name: "other", csi: csi({ duration: "2h", "dns-names": "web.shop.svc" }) },
      ],
    },
  });
  const asked = await request();
  const volume = { ...asked.volume, attributes: { duration: "700h", "dns-names": "web.shop.svc" } };
  const leaf = leafOf(await service.driver.issueCertificate({ ...asked, volume }, wait));
  assert.deepEqual(leaf.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
  assert(leaf.notAfter.since(service.clock.now()).total("minutes") <= 60);
});

Deno.test("a replayed request gives no certificate to a caller that may not request it", async () => {
  await using service = await openService();
  service.put();
  const asked = await request();
  const first = leafOf(await service.driver.issueCertificate(asked, wait));
  // A retry of the driver gets a certificate for the same key with another serial number.
  const again = leafOf(await service.driver.issueCertificate(asked, wait));
  assert.deepEqual(again.spki, first.spki);
  assert.notEqual(again.serialNumber, first.serialNumber);
  const replay = async (client: ServiceClient) =>
    (await refusal(client.issueCertificate(asked, wait))).code;
  assert.equal(await replay(service.as(undefined)), UNAVAILABLE);
  assert.equal(await replay(service.as(await podPair(service, {}))), UNAVAILABLE);
  assert.equal(await replay(service.otherDriver), PERMISSION_DENIED);
  service.api.objects.delete("pods", pod.namespace, pod.name);
  assert.equal(
    (await refusal(service.driver.issueCertificate(asked, wait))).code,
    PERMISSION_DENIED,
  );
  const predecessorSerialNumber = first.serialNumber;
  const renewal = service.driver.renewCertificate({ ...asked, predecessorSerialNumber }, wait);
  assert.equal((await refusal(renewal)).code, PERMISSION_DENIED);
});

Deno.test("a pod that drains is renewed until it is finished, or stuck after its end", async () => {
  await using service = await openService();
  service.put();
  const asked = await request();
  const { serialNumber } = leafOf(await service.driver.issueCertificate(asked, wait));
  const renew = async () =>
    await service.driver.renewCertificate({
      ...asked,
      predecessorSerialNumber: serialNumber,
    }, wait);
  const endingIn = (minutes: number) => {
    const end = Temporal.Now.instant().add({ minutes });
    return { metadata: { deletionTimestamp: end.toString({ smallestUnit: "second" }) } };
  };
  for (const minutes of [10, -4]) {
    service.put(endingIn(minutes));
    leafOf(await renew());
  }
  for (const pod of [endingIn(-6), { ...endingIn(10), status: { phase: "Failed" } }]) {
    service.put(pod);
    assert.equal((await refusal(renew())).code, PERMISSION_DENIED);
  }
});

Deno.test("a dotted pod name cannot produce another pod's common name", async () => {
  await using service = await openService();
  // Cut off at 64 characters it would be the name of pod "admin" in namespace "bank".
  const victim = `admin-${"a".repeat(35)}.bank.svc.cluster.local`;
  assert.equal(victim.length, 64);
  const name = `${victim}.b`;
  const uid = "3f2c1b7e-1111-4222-8333-444455556666";
  service.put({ metadata: { name, uid } });
  const asked = await request();
  const leaf = leafOf(
    await service.driver.issueCertificate({ ...asked, pod: { ...pod, name, uid } }, wait),
  );
  assert.equal(leaf.commonName, `${name.slice(0, 55)}-3f2c1b7e`);
  assert.deepEqual(leaf.dnsNames, [`${name}.shop.svc.cluster.local`]);
});

Deno.test("an administrator lists and revokes over the local socket, and the pod gets no more certificates", async () => {
  await using service = await openService();
  service.put();
  const asked = await request();
  const { serialNumber } = leafOf(await service.driver.issueCertificate(asked, wait));
  const { administrator } = service;
  const [page] = await Array.fromAsync(administrator.listCertificates({}, wait));
  assert.deepEqual(page?.certificates.map(({ node }) => node), ["node-1"]);
  const { certificate } = await administrator.getCertificateInfo({ serialNumber }, wait);
  assert.equal(certificate?.pod?.uid, pod.uid);
  const target = { case: "serialNumber", value: serialNumber } as const;
  await administrator.revokeCertificate({ target, reason: "stolen" }, wait);
  const denied = await refusal(service.driver.issueCertificate(asked, wait));
  assert.equal(denied.code, PERMISSION_DENIED);
});

Deno.test("reported certificates of another CA are counted as refused", async () => {
  await using service = await openService();
  await using other = await openService();
  service.put();
  other.put();
  const ours = await service.driver.issueCertificate(await request(), wait);
  const theirs = await other.driver.issueCertificate(await request(), wait);
  const held = (
    { certificateChain: [certificate] }: typeof ours,
    uid = pod.uid,
    name = pod.name,
  ) => ({
    certificate: certificate ?? new Uint8Array(),
    pod: { ...pod, uid, name },
    volumeId: "csi-1",
  });
  await using restarted = await openService();
  const certificates = [held(theirs), held(ours), held(ours, "other-uid", "db-0")];
  const reported = await service.driver.reportCertificates({ certificates }, wait);
  assert.deepEqual([reported.accepted, reported.refused], [2, 1]);
  assert.equal(service.inventory.get(leafOf(ours).serialNumber)?.pod.name, "web-0");
  const elsewhere = await restarted.driver.reportCertificates({ certificates }, wait);
  assert.deepEqual([elsewhere.accepted, elsewhere.refused], [0, 3]);
  assert.equal(restarted.inventory.size, 0);
});
