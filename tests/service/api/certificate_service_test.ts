import assert from "node:assert/strict";
import { status } from "@grpc/grpc-js";
import { configure, type LogRecord, reset } from "@logtape/logtape";
import {
  allowAnonymous,
  type Authenticator,
  type Caller,
} from "../../../src/service/access/authenticator.ts";
import { ServingCertificate } from "../../../src/service/issuing/serving_certificate.ts";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { registerService, serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { certificateService } from "../../../src/service/api/certificate_service.ts";
import { readCertificate } from "../../../src/shared/x509/certificate.ts";
import { encodePem } from "../../../src/shared/crypto/pem.ts";
import {
  type AuthorityOptions,
  certificateRequest,
  makeCa,
  openAuthority,
  pod,
} from "../../support/service_fixture.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const serverName = "cert-service.csi-cert-driver.internal";

interface Options extends AuthorityOptions {
  readonly authenticator?: Authenticator;
  readonly token?: string;
}

/** The whole service on a TLS socket, and a client that trusts its CA. */
async function open(options: Options = {}) {
  // The TLS stack compares with the machine's clock.
  const clock = new FakeClock(Temporal.Now.instant());
  await using stack = new AsyncDisposableStack();
  const material = options.material ?? await makeCa({}, clock.now());
  const authority = stack.use(await openAuthority({ ...options, clock, material }));
  const serving = stack.use(await ServingCertificate.start(authority));
  const authenticator = options.authenticator ?? allowAnonymous;
  const implementation = certificateService({ ...authority, authenticator });
  const server = stack.use(
    await serveTcp("127.0.0.1:0", {
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
      ...(options.token ? { token: () => Promise.resolve(options.token) } : {}),
    });
  const client = stack.use(connected());
  const kept = stack.move();
  return { ...authority, client, connected, [Symbol.asyncDispose]: () => kept.disposeAsync() };
}

async function request(attributes: Record<string, string> = {}) {
  const volume = { id: "csi-1", name: "certs", attributes };
  return { certificateRequest: await certificateRequest(), pod: { ...pod }, volume };
}

async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(() => undefined, (error) => error);
  assert(error instanceof RpcError, `${error}`);
  return error;
}

function nodeNamed(node: string): Authenticator {
  const caller: Caller = { kind: "node", node };
  return { authenticate: () => Promise.resolve({ kind: "caller", caller }) };
}

const wait = { timeoutMs: 20_000 };

Deno.test("a driver issues, renews, looks up, lists and revokes over TLS", async () => {
  await using service = await open();
  const { client } = service;
  const asked = await request({ duration: "1h", "dns-names": "web.shop.svc" });
  const issued = await client.issueCertificate(asked, wait);
  const leaf = readCertificate(issued.certificateChain[0] ?? new Uint8Array());
  assert.deepEqual(leaf?.dnsNames.slice(-1), ["web.shop.svc"]);
  assert.deepEqual(
    issued.trustBundle?.certificates.map((der) => new Uint8Array(der)),
    service.authority.anchors.map(({ der }) => new Uint8Array(der)),
  );

  const predecessorSerialNumber = leaf?.serialNumber ?? "";
  const renewed = await client.renewCertificate({ ...asked, predecessorSerialNumber }, wait);
  const second = readCertificate(renewed.certificateChain[0] ?? new Uint8Array());
  assert.deepEqual(second?.dnsNames, leaf?.dnsNames);

  const serialNumber = second?.serialNumber ?? "";
  const { certificate } = await client.getCertificateInfo({ serialNumber }, wait);
  assert.equal(certificate?.predecessorSerialNumber, predecessorSerialNumber);
  assert.equal(certificate?.pod?.uid, pod.uid);
  assert.equal(certificate?.commonName, "web-0.shop.svc.cluster.local");
  assert.equal(Number(certificate?.notAfter?.seconds), second!.notAfter.epochMilliseconds / 1000);
  assert.equal(certificate?.revokedAt, undefined);

  const list = (narrowed: { namespace?: string; podUid?: string }) =>
    Array.fromAsync(client.listCertificates(narrowed, wait), ({ serialNumber }) => serialNumber);
  assert.deepEqual(await list({}), [predecessorSerialNumber, serialNumber]);
  assert.deepEqual(await list({ podUid: pod.uid }), [serialNumber, predecessorSerialNumber]);
  assert.deepEqual(await list({ namespace: "bank" }), []);
  assert.equal((await list({ namespace: "shop" })).length, 2);

  const target = { case: "serialNumber", value: serialNumber } as const;
  const revoked = await client.revokeCertificate({ target, reason: "stolen" }, wait);
  assert.equal(revoked.podUid, pod.uid);
  assert.equal(
    Number(revoked.validUntil?.seconds),
    second!.notAfter.epochMilliseconds / 1000,
  );
  const denied = await refusal(
    client.renewCertificate({ ...asked, predecessorSerialNumber }, wait),
  );
  assert.equal(denied.code, status.PERMISSION_DENIED);
  const info = await client.getCertificateInfo({ serialNumber }, wait);
  assert(info.certificate?.revokedAt !== undefined);
});

Deno.test("drivers expect the service's own name: a pod's certificate does not stand in for it", async () => {
  await using service = await open();
  using mistaken = service.connected({ serverName: "web-0.shop.svc.cluster.local" });
  const wrongName = await refusal(mistaken.issueCertificate(await request(), { timeoutMs: 3000 }));
  assert.equal(wrongName.code, status.UNAVAILABLE);
  const stranger = await makeCa();
  using distrusting = service.connected({
    trustBundle: encodePem("CERTIFICATE", stranger.issuer.certificate.der),
  });
  const untrusted = await refusal(
    distrusting.issueCertificate(await request(), { timeoutMs: 3000 }),
  );
  assert.equal(untrusted.code, status.UNAVAILABLE);
  assert.equal(service.inventory.size, 0);
});

Deno.test("every refusal has the code that tells whether to try again", async () => {
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
  assert.equal(
    await codeOf(client.getCertificateInfo({ serialNumber: "a1" }, wait)),
    status.NOT_FOUND,
  );
  const target = { case: "serialNumber", value: "a1" } as const;
  assert.equal(await codeOf(client.revokeCertificate({ target }, wait)), status.NOT_FOUND);
});

Deno.test("over its bound the service says when to come again", async () => {
  await using service = await open({ concurrency: 1, capacity: 1 });
  const work = Promise.withResolvers<void>();
  const never = new AbortController().signal;
  const blocking = service.queue.run("", () => work.promise, never);
  const waiting = service.queue.run("", () => work.promise, never);
  const overloaded = await refusal(service.client.issueCertificate(await request(), wait));
  assert.equal(overloaded.code, status.RESOURCE_EXHAUSTED);
  assert.equal(overloaded.retryAfterMs, 1000);
  work.resolve();
  await Promise.all([blocking, waiting]);
});

Deno.test("who is not known is UNAUTHENTICATED, and who cannot be known yet UNAVAILABLE", async () => {
  for (const kind of ["unauthenticated", "unavailable"] as const) {
    const authenticator: Authenticator = {
      authenticate: () => Promise.resolve({ kind, problem: "no token was sent" }),
    };
    await using service = await open({ authenticator });
    // Nothing of a stranger's request is looked at: not even that it is empty.
    const unknown = await refusal(service.client.issueCertificate({}, wait));
    const expected = kind === "unavailable" ? status.UNAVAILABLE : status.UNAUTHENTICATED;
    assert.equal(unknown.code, expected);
    assert.match(unknown.message, /no token was sent/);
    const streams = [
      service.client.watchTrustBundle({}, wait),
      service.client.listCertificates({}, wait),
    ];
    for (const stream of streams) {
      assert.equal((await refusal(Array.fromAsync<unknown>(stream))).code, expected);
    }
  }
});

Deno.test("a node sees its own certificates only, and revokes none", async () => {
  const callers = { node: "node-1" };
  const authenticator: Authenticator = {
    authenticate: () =>
      Promise.resolve({ kind: "caller", caller: { kind: "node", node: callers.node } }),
  };
  await using service = await open({ authenticator });
  const { client } = service;
  const answer = await client.issueCertificate(await request(), wait);
  const leaf = readCertificate(answer.certificateChain[0] ?? new Uint8Array());
  const serialNumber = leaf?.serialNumber ?? "";
  assert.equal((await Array.fromAsync(client.listCertificates({}, wait))).length, 1);
  callers.node = "node-2";
  assert.deepEqual(await Array.fromAsync(client.listCertificates({}, wait)), []);
  const hidden = await refusal(client.getCertificateInfo({ serialNumber }, wait));
  assert.equal(hidden.code, status.NOT_FOUND);
  const target = { case: "podUid", value: pod.uid } as const;
  const forbidden = await refusal(client.revokeCertificate({ target }, wait));
  assert.equal(forbidden.code, status.PERMISSION_DENIED);
});

Deno.test("each field that is wrong is named, with what was given and what is accepted", async () => {
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
  assert.match(await messageOf(client.getCertificateInfo({}, wait)), /serial_number: is empty/);
  assert.match(await messageOf(client.revokeCertificate({}, wait)), /serial_number \(or pod_uid\)/);
  const long = { target: { case: "podUid", value: "x" }, reason: "r".repeat(257) } as const;
  assert.match(await messageOf(client.revokeCertificate(long, wait)), /reason: .*at most 256/);
});

Deno.test("a driver reports what it holds, at most a hundred at once", async () => {
  const material = await makeCa({}, Temporal.Now.instant());
  await using before = await open({ material });
  const answer = await before.client.issueCertificate(await request(), wait);
  const certificate = answer.certificateChain[0] ?? new Uint8Array();
  await using after = await open({ material, authenticator: nodeNamed("node-1") });
  const held = { certificate, pod: { ...pod }, volumeId: "csi-1" };
  const nonsense = { ...held, certificate: new Uint8Array([1]) };
  const told = await after.client.reportCertificates({ certificates: [held, nonsense] }, wait);
  assert.deepEqual([told.accepted, told.refused], [1, 1]);
  assert.equal(after.inventory.size, 1);
  const many = { certificates: new Array(101).fill(nonsense) };
  const refused = await refusal(after.client.reportCertificates(many, wait));
  assert.match(refused.message, /certificates: has 101 entries, expected at most 100/);
});

Deno.test("who watches the trust bundle has it at once, and each time it changes", async () => {
  await using service = await open();
  const leaving = new AbortController();
  const bundles = service.client.watchTrustBundle({}, { signal: leaving.signal });
  const iterator = bundles[Symbol.asyncIterator]();
  const next = async () => (await iterator.next()).value?.certificates.length;
  assert.equal(await next(), 1);
  const { material } = service.authority;
  assert(material !== undefined);
  const other = await makeCa({ commonName: "Next CA" });
  service.authority.replace({ ...material, anchors: [...material.anchors, ...other.anchors] });
  assert.equal(await next(), 2);
  service.authority.replace(material);
  assert.equal(await next(), 1);
  leaving.abort();
  await assert.rejects(iterator.next());
});

Deno.test("each decision is one line of the audit log, and no token or key is in it", async () => {
  const records: LogRecord[] = [];
  await configure({
    reset: true,
    sinks: { list: (record) => void records.push(record) },
    loggers: [
      { category: ["cert-service"], sinks: ["list"], lowestLevel: "debug" },
      { category: ["grpc"], sinks: ["list"], lowestLevel: "debug" },
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
  });
  try {
    const seen: (string | undefined)[] = [];
    const authenticator: Authenticator = {
      authenticate: ({ authorization }) => {
        seen.push(authorization);
        const token = { serviceAccount: "a/driver", podUid: "driver-uid", tokenId: "JTI=1" };
        const caller = { kind: "node", node: "node-1", ...token } as const;
        return Promise.resolve(
          seen.length < 7 ? { kind: "caller", caller } : { kind: "denied", problem: "not you" },
        );
      },
    };
    await using service = await open({ authenticator, token: "very-secret-token" });
    const { client } = service;
    const asked = await request();
    await client.issueCertificate(asked, wait);
    await refusal(client.issueCertificate(await request({ "dns-names": "api.bank" }), wait));
    await refusal(client.revokeCertificate({ target: { case: "podUid", value: pod.uid } }, wait));
    await refusal(client.issueCertificate({ ...asked, pod: undefined }, wait));
    await refusal(client.getCertificateInfo({ serialNumber: "Z" }, wait));
    for await (const _one of client.listCertificates({}, wait));
    await refusal(client.issueCertificate(asked, wait));
    assert.deepEqual(new Set(seen), new Set(["Bearer very-secret-token"]));
    const audit = records.filter(({ category }) => category.join() === "cert-service,audit");
    assert.deepEqual(audit.map(({ properties }) => [properties.action, properties.outcome]), [
      ["issue", "issued"],
      ["issue", "denied"],
      ["revoke", "denied"],
      ["issue", "invalid"],
      ["get", "invalid"],
      ["list", "shown"],
      ["authenticate", "denied"],
    ]);
    const [first, second] = audit.map(({ properties }) => properties);
    assert.equal(first?.caller, "node node-1");
    assert.equal(first?.podUid, pod.uid);
    assert.equal(first?.node, "node-1");
    assert.deepEqual([first?.callerServiceAccount, first?.callerPodUid, first?.tokenId], [
      "a/driver",
      "driver-uid",
      "JTI=1",
    ]);
    assert.match(String(first?.serialNumber), /^[0-9a-f]{32}$/);
    assert.deepEqual(first?.dnsNames, ["web-0.shop.svc.cluster.local", "web-0"]);
    assert.match(String(second?.reason), /dns-names "api\.bank"/);
    const written = JSON.stringify(records);
    assert(!written.includes("very-secret-token") && !written.includes("PRIVATE KEY"));
  } finally {
    await reset();
  }
});
