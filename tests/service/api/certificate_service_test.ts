import assert from "node:assert/strict";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import {
  allowAnonymous,
  type Authenticator,
  type DriverCaller,
} from "../../../src/service/access/authenticator.ts";
import { ServingCertificate } from "../../../src/service/issuing/serving_certificate.ts";
import {
  CertificateService,
  NodeInfoSchema,
} from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { registerService, serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { nodeInfo } from "../../../src/service/api/certificate_info.ts";
import { certificateService } from "../../../src/service/api/certificate_service.ts";
import { readCertificate } from "../../../src/shared/x509/certificate.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { refusal } from "../../support/refusal.ts";
import {
  certificateRequest,
  makeCa,
  openTestService,
  pod,
  type TestServiceOptions,
} from "../../support/service_fixture.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { FairQueue } from "../../../src/shared/scheduler/fair_queue.ts";

const serverName = "cert-service.csi-cert-driver.internal";

interface Options extends TestServiceOptions {
  readonly authenticator?: Authenticator;
}

/** The whole service on a TLS socket, and a client that trusts its CA. */
async function open(options: Options = {}) {
  // The TLS stack compares with the machine's clock.
  const clock = new FakeClock(Temporal.Instant.fromEpochMilliseconds(Date.now()));
  await using stack = new AsyncDisposableStack();
  const material = options.material ?? await makeCa({}, clock.now());
  const parts = stack.use(await openTestService({ ...options, clock, material }));
  const serving = stack.use(await ServingCertificate.start(parts));
  const authenticator = options.authenticator ?? allowAnonymous;
  const implementation = certificateService({ ...parts, authenticator });
  const server = stack.use(
    await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
      services: [registerService(CertificateService, implementation)],
      maxMessageBytes: 2 * 1024 * 1024,
      graceMs: 100,
      tls: serving,
    }),
  );
  const anchor = encodePem("CERTIFICATE", material.issuer.certificate.der);
  const connected = (given: { serverName?: string; trustBundle?: string } = {}) =>
    connect(CertificateService, {
      address: `https://127.0.0.1:${server.port}`,
      trustBundle: () => given.trustBundle ?? anchor,
      serverName: given.serverName ?? serverName,
    });
  const client = stack.use(connected());
  const kept = stack.move();
  return { ...parts, client, connected, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function request(attributes: Record<string, string> = {}) {
  const volume = { id: "csi-1", name: "certs", attributes };
  return { certificateRequest: await certificateRequest(), pod: { ...pod }, volume };
}

function nodeNamed(node: string): Authenticator {
  const caller: DriverCaller = { kind: "node", node };
  return { authenticate: () => Promise.resolve({ kind: "caller", caller }) };
}

const wait = { timeoutMs: 30_000 };

Deno.test("a driver issues and renews over TLS", async () => {
  await using service = await open();
  const { client } = service;
  const asked = await request({ duration: "1h", "dns-names": "web.shop.svc" });
  const issued = await client.issueCertificate(asked, wait);
  const leaf = readCertificate(issued.certificateChain[0] ?? new Uint8Array());
  assert.deepEqual(leaf?.dnsNames.slice(-1), ["web.shop.svc"]);
  assert.deepEqual(
    issued.trustBundle?.certificates.map((der) => new Uint8Array(der)),
    service.currentCa.anchors.map(({ der }) => new Uint8Array(der)),
  );

  const predecessorSerialNumber = leaf?.serialNumber ?? "";
  const renewed = await client.renewCertificate({ ...asked, predecessorSerialNumber }, wait);
  const second = readCertificate(renewed.certificateChain[0] ?? new Uint8Array());
  assert.deepEqual(second?.dnsNames, leaf?.dnsNames);
});

Deno.test("a driver accepts no server certificate with another name or of another CA", async () => {
  await using service = await open();
  using mistaken = service.connected({ serverName: "web-0.shop.svc.cluster.local" });
  const wrongName = await refusal(mistaken.issueCertificate(await request(), { timeoutMs: 3000 }));
  assert.equal(wrongName.code, status.UNAVAILABLE);
  const otherCa = await makeCa();
  using distrusting = service.connected({
    trustBundle: encodePem("CERTIFICATE", otherCa.issuer.certificate.der),
  });
  const untrusted = await refusal(
    distrusting.issueCertificate(await request(), { timeoutMs: 3000 }),
  );
  assert.equal(untrusted.code, status.UNAVAILABLE);
  assert.equal(service.inventory.size, 0);
});

Deno.test("every failure has the status code that states whether to retry", async () => {
  await using service = await open();
  const { client } = service;
  const asked = await request();
  const codeOf = async (call: Promise<unknown>) => (await refusal(call)).code;
  const denied = request({ "dns-names": "api.bank.svc" });
  assert.equal(
    await codeOf(client.issueCertificate(await denied, wait)),
    status.PERMISSION_DENIED,
  );
  const unread = { ...asked, certificateRequest: new Uint8Array([1]) };
  assert.equal(await codeOf(client.issueCertificate(unread, wait)), status.INVALID_ARGUMENT);
});

Deno.test("an overloaded service states when to retry", async () => {
  const signature = new FairQueue({ clock: new FakeClock(), concurrency: 1, capacity: 1 });
  await using service = await open({ queues: { signature } });
  const work = Promise.withResolvers<void>();
  const never = new AbortController().signal;
  const blocking = signature.run("", () => work.promise, never);
  const waiting = signature.run("", () => work.promise, never);
  const overloaded = await refusal(service.client.issueCertificate(await request(), wait));
  assert.equal(overloaded.code, status.RESOURCE_EXHAUSTED);
  assert.equal(overloaded.retryAfterMs, 1000);
  work.resolve();
  await Promise.all([blocking, waiting]);
});

Deno.test("a caller that is not identified is UNAUTHENTICATED, in calls and streams", async () => {
  const reason = "the caller presented no client certificate";
  const authenticator: Authenticator = {
    authenticate: () => Promise.resolve({ kind: "unauthenticated", reason }),
  };
  await using service = await open({ authenticator });
  // The request itself is not validated: not even that it is empty.
  const unknown = await refusal(service.client.issueCertificate({}, wait));
  assert.equal(unknown.code, status.UNAUTHENTICATED);
  assert.match(unknown.message, /the caller presented no client certificate/);
  const stream = service.client.watchTrustBundle({}, wait);
  assert.equal((await refusal(Array.fromAsync(stream))).code, status.UNAUTHENTICATED);
});

Deno.test("every wrong field is named with its value and what is accepted", async () => {
  await using service = await open();
  const { client } = service;
  const messageOf = async (call: Promise<unknown>) => {
    const error = await refusal(call);
    assert.equal(error.code, status.INVALID_ARGUMENT);
    return error.message;
  };
  const empty = await messageOf(client.issueCertificate({}, wait));
  for (const field of ["certificate_request", "pod.namespace", "pod.name", "pod.uid"]) {
    assert.match(empty, new RegExp(`${field.replace(".", "\\.")}: is (missing|empty), expected `));
  }
  const asked = await request();
  const wrong: [Partial<typeof asked["pod"]>, RegExp][] = [
    [{ namespace: "Shop" }, /pod\.namespace: is "Shop", expected 1 to 63/],
    [{ namespace: "a.b" }, /pod\.namespace/],
    [{ name: "web_0" }, /pod\.name: is "web_0"/],
    [{ name: `${"a".repeat(253)}a` }, /pod\.name/],
    [{ uid: "../../x" }, /pod\.uid/],
    [{ uid: "a\u0000b" }, /pod\.uid: is "a\\u\{0\}b"/],
    [{ serviceAccount: "" }, /pod\.service_account: is empty/],
  ];
  for (const [change, expected] of wrong) {
    const changed = { ...asked, pod: { ...asked.pod, ...change } };
    assert.match(await messageOf(client.issueCertificate(changed, wait)), expected);
  }
  const volume = { ...asked.volume, id: "" };
  assert.match(await messageOf(client.issueCertificate({ ...asked, volume }, wait)), /volume\.id/);
  const unnamed = { ...asked, predecessorSerialNumber: "XYZ" };
  assert.match(
    await messageOf(client.renewCertificate(unnamed, wait)),
    /predecessor_serial_number/,
  );
});

Deno.test("a node cannot make the list of all nodes fail with a clock skew that no message can state", async () => {
  await using service = await open({ authenticator: nodeNamed("node-1") });
  for (const clockSkewMs of [2n ** 63n - 1n, -(2n ** 53n)]) {
    const rejected = await refusal(service.client.reportCertificates({ clockSkewMs }, wait));
    assert.equal(rejected.code, status.INVALID_ARGUMENT);
    assert.match(
      rejected.message,
      /clock_skew_ms: is -?\d+, expected at most 2\^53 - 1 either way/,
    );
  }
  await service.client.reportCertificates({ clockSkewMs: 1n - 2n ** 53n }, wait);
  const [node] = service.nodes.all().map(nodeInfo);
  assert(node !== undefined);
  const read = fromBinary(NodeInfoSchema, toBinary(NodeInfoSchema, node));
  assert.equal(read.clockSkewMs, 1n - 2n ** 53n);
});

Deno.test("a driver reports at most a hundred certificates in one call", async () => {
  const material = await makeCa({}, Temporal.Now.instant());
  await using before = await open({ material });
  const answer = await before.client.issueCertificate(await request(), wait);
  const certificate = answer.certificateChain[0] ?? new Uint8Array();
  await using after = await open({ material, authenticator: nodeNamed("node-1") });
  const held = { certificate, pod: { ...pod }, volumeId: "csi-1" };
  const nonsense = { ...held, certificate: new Uint8Array([1]) };
  const report = await after.client.reportCertificates({ certificates: [held, nonsense] }, wait);
  assert.deepEqual([report.accepted, report.refused], [1, 1]);
  assert.equal(after.inventory.size, 1);
  const many = { certificates: new Array(101).fill(nonsense) };
  const refused = await refusal(after.client.reportCertificates(many, wait));
  assert.match(refused.message, /certificates: has 101 entries, expected at most 100/);
});

Deno.test("a watch of the trust bundle yields it at once and after each change", async () => {
  await using service = await open();
  const leaving = new AbortController();
  const bundles = service.client.watchTrustBundle({}, { signal: leaving.signal });
  const iterator = bundles[Symbol.asyncIterator]();
  const next = async () => (await iterator.next()).value?.certificates.length;
  assert.equal(await next(), 1);
  const { material } = service.currentCa;
  assert(material !== undefined);
  const other = await makeCa({ commonName: "Next CA" });
  service.currentCa.replace({ ...material, anchors: [...material.anchors, ...other.anchors] });
  assert.equal(await next(), 2);
  service.currentCa.replace(material);
  assert.equal(await next(), 1);
  leaving.abort();
  await assert.rejects(iterator.next());
});

Deno.test("each decision is one line of the audit log, without a key", async () => {
  await using logs = await captureLogs(["cert-service"], ["grpc"]);
  let calls = 0;
  const authenticator: Authenticator = {
    authenticate: () => {
      const caller = { kind: "node", node: "node-1", podUid: "driver-uid" } as const;
      return Promise.resolve(
        ++calls < 6
          ? { kind: "caller", caller }
          : { kind: "unauthenticated", reason: "no certificate" },
      );
    },
  };
  await using service = await open({ authenticator });
  const { client } = service;
  const asked = await request();
  await client.issueCertificate(asked, wait);
  await refusal(client.issueCertificate(await request({ "dns-names": "api.bank" }), wait));
  await client.reportCertificates({ volumeIds: ["csi-1"] }, wait);
  const nonsense = { certificate: new Uint8Array([1]), pod: { ...pod }, volumeId: "csi-1" };
  await client.reportCertificates({ certificates: [nonsense] }, wait);
  await refusal(client.issueCertificate({ ...asked, pod: undefined }, wait));
  await refusal(client.issueCertificate(asked, wait));
  const audit = logs.records.filter(({ category }) => category.join() === "cert-service,audit");
  assert.deepEqual(audit.map(({ properties }) => [properties.action, properties.outcome]), [
    ["issue", "issued"],
    ["issue", "denied"],
    ["report", "reported"],
    ["issue", "invalid"],
    ["authenticate", "unauthenticated"],
  ]);
  const [first, second] = audit.map(({ properties }) => properties);
  assert.equal(first?.caller, "node node-1");
  assert.equal(first?.podUid, pod.uid);
  assert.equal(first?.node, "node-1");
  assert.equal(first?.callerPodUid, "driver-uid");
  assert.match(String(first?.serialNumber), /^[0-9a-f]{32}$/);
  assert.deepEqual(first?.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
  assert.match(String(second?.reason), /dns-names "api\.bank"/);
  const written = JSON.stringify(logs.records);
  assert(!written.includes("PRIVATE KEY"));
});
