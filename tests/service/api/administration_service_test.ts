import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import {
  CertificateAdministration,
  type CertificateInfo,
  type ListCertificatesResponse,
} from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { registerService, serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { administrationService } from "../../../src/service/api/administration_service.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { refusal } from "../../support/refusal.ts";
import { countTurns } from "../../support/count_turns.ts";
import { clusterPod, ScriptedPods } from "../../support/scripted_pods.ts";
import {
  issued,
  makeCa,
  never,
  openTestService,
  pod,
  start,
  type TestServiceOptions,
} from "../../support/service_fixture.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { entryOf } from "../../support/inventory_entries.ts";

const node = { kind: "node", node: "node-1" } as const;
const wait = { timeoutMs: 30_000 };

/** The administrator's service on a unix socket, and a client. */
async function open({ nodes, ...options }: TestServiceOptions & { nodes?: boolean } = {}) {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await temporaryFolder());
  const opened = stack.use(await openTestService(options));
  const { nodeRevocation, ...rest } = opened;
  const parts = nodes === false ? rest : { ...rest, nodeRevocation };
  const server = stack.use(
    await serveUnix(`${folder.path}/admin.sock`, {
      services: [registerService(CertificateAdministration, administrationService(parts))],
      graceMs: 100,
    }),
  );
  const address = `unix://${server.path}`;
  const client = stack.use(connect(CertificateAdministration, { address }));
  const kept = stack.move();
  return { ...opened, client, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

/** The certificates of all pages. */
async function listed(stream: AsyncIterable<ListCertificatesResponse>): Promise<CertificateInfo[]> {
  return (await Array.fromAsync(stream)).flatMap(({ certificates }) => certificates);
}

const unknownUid = "11111111-2222-4333-8444-555555555555";
const seconds = (instant: Temporal.Instant) => instant.epochMilliseconds / 1000;

Deno.test("an administrator gets a certificate with its pod, its node and its names", async () => {
  await using service = await open();
  const first = issued(await service.ask({}, node));
  const second = issued(await service.ask({ predecessor: first.serialNumber }, node));
  const { serialNumber } = second;
  const { certificate } = await service.client.getCertificateInfo({ serialNumber }, wait);
  assert(certificate !== undefined);
  assert.equal(certificate.predecessorSerialNumber, first.serialNumber);
  assert.equal(certificate.pod?.uid, pod.uid);
  assert.equal(certificate.node, "node-1");
  assert.equal(certificate.commonName, "web-0.shop.svc.cluster.local");
  assert.equal(Number(certificate.notAfter?.seconds), seconds(second.notAfter));
  assert.equal(certificate.revokedAt, undefined);
  const unknown = await refusal(service.client.getCertificateInfo({ serialNumber: "a1" }, wait));
  assert.equal(unknown.code, status.NOT_FOUND);
  assert.match(unknown.message, /no replica that answered has a certificate with serial number a1/);
});

Deno.test("a list is filtered by namespace, pod and node", async () => {
  await using service = await open();
  const other = { ...pod, name: "web-1", uid: "another" };
  const [one, two] = [
    issued(await service.ask({}, node)).serialNumber,
    issued(await service.ask({ pod: other }, { kind: "node", node: "node-2" })).serialNumber,
  ];
  const list = async (filter: Parameters<typeof service.client.listCertificates>[0]) =>
    (await listed(service.client.listCertificates(filter, wait))).map((each) => each.serialNumber);
  assert.deepEqual(await list({}), [one, two]);
  assert.deepEqual(await list({ namespace: "shop" }), [one, two]);
  assert.deepEqual(await list({ namespace: "bank" }), []);
  assert.deepEqual(await list({ podUid: pod.uid }), [one]);
  assert.deepEqual(await list({ podName: "web-1" }), [two]);
  assert.deepEqual(await list({ node: "node-2" }), [two]);
  assert.deepEqual(await list({ node: "node-2", podUid: pod.uid }), []);
});

Deno.test("a pod is revoked by its uid, or by a certificate that it holds", async () => {
  await using service = await open();
  const { serialNumber } = issued(await service.ask());
  const named = { namespace: "shop", name: "web-0" };
  for (
    const target of [
      { case: "serialNumber", value: serialNumber },
      { case: "podUid", value: pod.uid },
    ] as const
  ) {
    const revoked = await service.client.revokeCertificate({ target, reason: "stolen" }, wait);
    assert.equal(revoked.podUid, pod.uid);
    assert.deepEqual([revoked.pod?.namespace, revoked.pod?.name], ["shop", "web-0"]);
    const longest = start.add({ hours: 720, minutes: 5 });
    assert.equal(Number(revoked.validUntil?.seconds), Math.floor(seconds(longest)));
    assert.deepEqual(service.denials.get(pod.uid)?.pod, named);
  }
  assert.equal((await service.ask()).kind, "denied");
  const { certificate } = await service.client.getCertificateInfo({ serialNumber }, wait);
  assert.equal(Number(certificate?.revokedAt?.seconds), Math.floor(seconds(start)));
  const unknown = { case: "serialNumber", value: "a1" } as const;
  const failed = await refusal(service.client.revokeCertificate({ target: unknown }, wait));
  assert.equal(failed.code, status.NOT_FOUND);
  assert.match(failed.message, /^no replica that answered has a certificate with serial number a1/);
});

Deno.test("a uid of which no certificate is known is denied, and the answer names no pod", async () => {
  await using service = await open();
  const target = { case: "podUid", value: unknownUid } as const;
  const revoked = await service.client.revokeCertificate({ target }, wait);
  assert.deepEqual([revoked.podUid, revoked.pod], [unknownUid, undefined]);
  assert.equal((await service.ask({ pod: { ...pod, uid: unknownUid } })).kind, "denied");
  for (const value of ["another", "7D1F7A3C-1F0E-4B5F-9D8E-2F6F5B1C9A11", `${pod.uid} `, ""]) {
    const target = { case: "podUid", value } as const;
    const refused = await refusal(service.client.revokeCertificate({ target }, wait));
    assert.equal(refused.code, status.INVALID_ARGUMENT);
    assert.match(
      refused.message,
      /pod_uid: is .*expected the uid of a pod in Kubernetes, such as 7d/,
    );
  }
});

/** A restarted service that knows a certificate of the pod from a report of node-1 only. */
async function openWithReport(pods: ScriptedPods | undefined) {
  const material = await makeCa();
  await using before = await openTestService({ material });
  const { leaf, serialNumber } = issued(await before.ask());
  const service = await open({ material, ...(pods ? { pods } : {}) });
  const held = { certificate: leaf.der, pod, volumeId: "csi-1" };
  const reported = await service.reporting.report(node, [held], never);
  assert.deepEqual(reported, { kind: "reported", accepted: 1, refused: 0, oversized: 0 });
  return { service, serialNumber };
}

Deno.test("a reported certificate revokes the pod only when the API server confirms it now", async () => {
  const pods = new ScriptedPods(clusterPod(pod));
  const { service, serialNumber } = await openWithReport(pods);
  await using _service = service;
  const target = { case: "serialNumber", value: serialNumber } as const;
  const revoke = () => service.client.revokeCertificate({ target }, wait);
  pods.failure = "the API server does not answer";
  const unavailable = await refusal(revoke());
  assert.equal(unavailable.code, status.UNAVAILABLE);
  assert.match(unavailable.message, /^nothing is revoked: certificate .* does not answer$/);
  pods.failure = undefined;
  pods.create(clusterPod({ ...pod, uid: "another" }));
  const unconfirmed = await refusal(revoke());
  assert.equal(unconfirmed.code, status.NOT_FOUND);
  assert.match(
    unconfirmed.message,
    new RegExp(
      `^nothing is revoked: certificate ${serialNumber} is known only from a report of node node-1, ` +
        `for pod shop/web-0 with uid ${pod.uid}, and the API server has no such pod: revoke the pod by its uid$`,
    ),
  );
  assert.deepEqual(service.denials.pods(), []);
  pods.create(clusterPod(pod));
  assert.equal((await revoke()).pod?.name, "web-0");
  assert.notEqual(service.revocation.deniedSince(pod.uid), undefined);
});

Deno.test("without a cluster a reported certificate revokes no pod, and the pod's uid does", async () => {
  const { service, serialNumber } = await openWithReport(undefined);
  await using _service = service;
  const bySerial = { case: "serialNumber", value: serialNumber } as const;
  const refused = await refusal(service.client.revokeCertificate({ target: bySerial }, wait));
  assert.equal(refused.code, status.NOT_FOUND);
  assert.match(
    refused.message,
    /there is no API server to confirm that: revoke the pod by its uid/,
  );
  const byUid = { case: "podUid", value: pod.uid } as const;
  const { podUid } = await service.client.revokeCertificate({ target: byUid }, wait);
  assert.equal(podUid, pod.uid);
});

Deno.test("a node cannot make an administrator revoke another pod by reporting its certificate", async () => {
  const innocent = { ...pod, name: "web-1", uid: "33333333-2222-4333-8444-555555555555" };
  const pods = new ScriptedPods(clusterPod(pod), clusterPod(innocent, { nodeName: "node-2" }));
  const material = await makeCa();
  await using before = await openTestService({ material, pods });
  // web-0 asked for the name of web-1 as well, which a pod of the namespace may have.
  pods.create(clusterPod(pod, {
    volumes: new Map([["certs", { "dns-names": "web-1.shop.svc.cluster.local" }]]),
  }));
  const { leaf, serialNumber } = issued(await before.ask({}, node));
  assert(leaf.dnsNames.includes("web-1.shop.svc.cluster.local"));
  await using service = await open({ material, pods });
  const hostile = { kind: "node", node: "node-2" } as const;
  const claims = [
    { ...pod, uid: "22222222-2222-4333-8444-555555555555" },
    // The true pod, which does not run on that node.
    pod,
    innocent,
  ];
  const held = claims.map((pod) => ({ certificate: leaf.der, pod, volumeId: "csi-1" }));
  const reported = await service.reporting.report(hostile, held, never);
  assert.deepEqual(reported, { kind: "reported", accepted: 0, refused: 3, oversized: 0 });
  const target = { case: "serialNumber", value: serialNumber } as const;
  const refused = await refusal(service.client.revokeCertificate({ target }, wait));
  assert.equal(refused.code, status.NOT_FOUND);
  assert.deepEqual(service.denials.pods(), []);
});

Deno.test("a renewed certificate still names the pod that is revoked, and leads to the current certificate", async () => {
  await using service = await open();
  const first = issued(await service.ask());
  const second = issued(await service.ask({ predecessor: first.serialNumber }));
  const { serialNumber } = first;
  const unknown = await refusal(service.client.getCertificateInfo({ serialNumber }, wait));
  assert.equal(unknown.code, status.NOT_FOUND);
  assert.match(unknown.message, new RegExp(`was renewed; .* ${second.serialNumber}$`));
  const target = { case: "serialNumber", value: serialNumber } as const;
  const revoked = await service.client.revokeCertificate({ target }, wait);
  assert.equal(revoked.podUid, pod.uid);
  assert.equal((await service.ask()).kind, "denied");
});

Deno.test("a node is revoked by its name, and pods on it still get certificates", async () => {
  await using service = await open();
  const target = { case: "nodeName", value: "node-1" } as const;
  const answer = await service.client.revokeCertificate({ target, reason: "stolen" }, wait);
  assert.deepEqual([answer.podUid, answer.validUntil], ["", undefined]);
  const made = (ago: Temporal.DurationLike) => start.subtract(ago).subtract({ minutes: 5 });
  assert.equal(service.nodeRevocation.isDenied("node-1", made({ minutes: 10 })), true);
  assert.equal(service.nodeRevocation.isDenied("node-2", made({ minutes: 10 })), false);
  issued(await service.ask({}, node));
});

Deno.test("a node cannot be revoked where nodes have no certificates", async () => {
  await using service = await open({ nodes: false });
  const target = { case: "nodeName", value: "node-1" } as const;
  const error = await refusal(service.client.revokeCertificate({ target }, wait));
  assert.equal(error.code, status.INVALID_ARGUMENT);
  assert.match(error.message, /AUTHENTICATION=none/);
});

Deno.test("a revocation that cannot be stored fails with the reason", async () => {
  await using service = await open();
  const away = () => Promise.reject(new Error("the API server is away"));
  service.denials.save = away;
  service.denials.saveNode = away;
  for (
    const target of [
      { case: "podUid", value: pod.uid },
      { case: "nodeName", value: "node-1" },
    ] as const
  ) {
    const error = await refusal(service.client.revokeCertificate({ target }, wait));
    assert.equal(error.code, status.UNAVAILABLE);
    assert.equal(error.message, "nothing is revoked: the API server is away");
  }
});

Deno.test("every wrong field of an administrator's request is named with what is accepted", async () => {
  await using service = await open();
  const { client } = service;
  const messageOf = async (call: Promise<unknown>) => {
    const error = await refusal(call);
    assert.equal(error.code, status.INVALID_ARGUMENT);
    return error.message;
  };
  const list = (filter: Parameters<typeof client.listCertificates>[0]) =>
    messageOf(Array.fromAsync(client.listCertificates(filter, wait), () => 0));
  assert.match(await messageOf(client.getCertificateInfo({}, wait)), /serial_number: is empty/);
  assert.match(
    await messageOf(client.revokeCertificate({}, wait)),
    /target: is missing, expected serial_number, pod_uid or node_name/,
  );
  const long = { target: { case: "podUid", value: "x" }, reason: "r".repeat(257) } as const;
  assert.match(await messageOf(client.revokeCertificate(long, wait)), /reason: .*at most 256/);
  const upper = { case: "nodeName", value: "Node" } as const;
  assert.match(
    await messageOf(client.revokeCertificate({ target: upper }, wait)),
    /node_name: is "Node"/,
  );
  assert.match(await list({ namespace: "Shop" }), /namespace: is "Shop"/);
  assert.match(await list({ podName: "a/b" }), /pod_name: is "a\/b"/);
  assert.match(await list({ podUid: "../x" }), /pod_uid/);
  assert.match(await list({ node: "a b" }), /node: is "a b"/);
});

Deno.test("a list yields to other work, and ends when its reader cancels", async () => {
  await using service = await open();
  const { serialNumber } = issued(await service.ask());
  const template = service.inventory.get(serialNumber)!;
  for (let n = 0; n < 11_000; n++) {
    const pod = { ...template.pod, uid: `pod-${n}` };
    service.inventory.add({
      ...entryOf(template),
      pod,
      serialNumber: n.toString(16).padStart(32, "0"),
    });
  }
  // No entry matches, so that nothing but the yielding gives the event loop back.
  const filter = { namespace: template.pod.namespace, node: "none", podName: template.pod.name };
  using turns = countTurns();
  const none = await listed(service.client.listCertificates(filter, wait));
  assert.equal(none.length, 0);
  assert(turns.now >= 5, `${turns.now} turns`);
  for await (const { certificates } of service.client.listCertificates({}, wait)) {
    assert.equal(certificates.length, 100);
    break;
  }
  const all = await listed(service.client.listCertificates({}, wait));
  assert.equal(new Set(all.map(({ serialNumber }) => serialNumber)).size, 11_001);
});

Deno.test("each call of an administrator is one line of the audit log", async () => {
  await using logs = await captureLogs(["cert-service"]);
  await using service = await open();
  const { client } = service;
  const { serialNumber } = issued(await service.ask());
  await Array.fromAsync(client.listCertificates({ podUid: pod.uid }, wait));
  await client.getCertificateInfo({ serialNumber }, wait);
  await refusal(client.getCertificateInfo({ serialNumber: "a1" }, wait));
  await refusal(client.getCertificateInfo({ serialNumber: "Z" }, wait));
  for (
    const target of [
      { case: "serialNumber", value: serialNumber },
      { case: "podUid", value: unknownUid },
      { case: "nodeName", value: "node-1" },
    ] as const
  ) await client.revokeCertificate({ target, reason: "stolen" }, wait);
  const audit = logs.records.filter(({ category }) => category.join() === "cert-service,audit");
  const lines = audit.map(({ properties: { caller, ...line } }) => {
    assert.equal(caller, "local administrator");
    return [line.action, line.outcome, line.podUid, line.serialNumber, line.revokedNode];
  });
  assert.deepEqual(lines, [
    ["list", "shown", pod.uid, undefined, undefined],
    ["get", "shown", undefined, serialNumber, undefined],
    ["get", "unknown", undefined, "a1", undefined],
    ["get", "invalid", undefined, undefined, undefined],
    ["revoke", "revoked", pod.uid, serialNumber, undefined],
    ["revoke", "revoked", unknownUid, undefined, undefined],
    ["revoke", "revoked", undefined, undefined, "node-1"],
  ]);
});
