import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  type AddressInfo,
  connect as connectPlain,
  createServer as createPlainServer,
  type Socket,
} from "node:net";
import { createServer } from "node:tls";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import type {
  ClientIdentity,
  ClientIdentitySource,
  ConnectionObservation,
} from "../../../src/shared/grpc_client/client_identity.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { stubService } from "../../support/stub_service.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { unlimited } from "../../support/gated_server.ts";
import { acceptingPeers } from "../../support/peers.ts";

const name = "cert-service.csi-cert-driver.internal";
/** Lets I/O happen; no test here waits for a time to pass. */
const io = new FakeClock();

/** An identity that a test replaces. */
class Replaceable implements ClientIdentitySource {
  readonly reports: ConnectionObservation[] = [];
  problem: string | undefined;
  /** Called at each report. */
  onReport: (observation: ConnectionObservation) => void = () => {};
  identity: ClientIdentity | undefined;

  constructor(identity?: ClientIdentity) {
    this.identity = identity;
  }

  current() {
    return this.identity;
  }

  onChange() {
    return { [Symbol.dispose]: () => {} };
  }

  report(observation: ConnectionObservation) {
    this.reports.push(observation);
    this.onReport(observation);
  }
}

/** A server that reports which certificate each call shows, and has calls that last until they are released. */
async function open() {
  const ca = await TestCa.create();
  const identity = { ...await ca.issue(name), clientAuthoritiesPem: ca.certificatePem };
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]: () => {} }) };
  const rejected = new Set<string>();
  const started: string[] = [];
  const { promise: released, resolve: release } = Promise.withResolvers<void>();
  const shown = (peer: Uint8Array | undefined) => peer?.toHex() ?? "none";
  const services = [
    stubService(Registration, {
      getInfo: (_, { peerCertificate }) => {
        const peer = shown(peerCertificate);
        if (rejected.has(peer)) throw new RpcError(status.UNAUTHENTICATED, "not accepted");
        return Promise.resolve({ name: peer });
      },
      notifyRegistrationStatus: async (_, { peerCertificate }) => {
        started.push(shown(peerCertificate));
        await released;
        return {};
      },
    }),
    stubService(CertificateService, {
      renewCertificate: () => {
        throw new RpcError(status.UNAVAILABLE, "the cluster's API is away");
      },
      async *watchTrustBundle(_, { peerCertificate, signal }) {
        yield { certificates: [peerCertificate ?? new Uint8Array()] };
        await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      },
    }),
  ];
  const server = await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
    tls,
    services,
    peers: acceptingPeers(),
    limits: { rates: unlimited },
    graceMs: 0,
  });
  const options = {
    address: `https://127.0.0.1:${server.port}`,
    trustBundle: () => ca.certificatePem,
    serverName: name,
  };
  return {
    ca,
    options,
    port: server.port,
    rejected,
    started,
    release,
    node: () => ca.issue("spiffe://cluster.local/csi-cert-node/node-1"),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** A relay in front of a port that knows which connections are open. */
async function relayTo(port: number) {
  const open = new Set<Socket>();
  const relay = createPlainServer((socket) => {
    const onward = connectPlain(port, "127.0.0.1");
    open.add(socket);
    for (const [from, to] of [[socket, onward], [onward, socket]] as const) {
      from.on("error", () => to.destroy());
      from.on("close", () => to.destroy());
      from.pipe(to);
    }
    socket.on("close", () => void open.delete(socket));
  });
  await new Promise<void>((resolve) => relay.listen(0, "127.0.0.1", resolve));
  return {
    open,
    port: (relay.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise((resolve) => relay.close(resolve));
      for (const socket of open) socket.destroy();
      await closed;
    },
  };
}

const isRpc = (code: status, message = /./) => (error: unknown) =>
  error instanceof RpcError && error.code === code && message.test(error.message);

Deno.test("a call after the identity was renewed shows the renewed certificate", async () => {
  await using server = await open();
  const source = new Replaceable(await server.node());
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const first = (await client.getInfo({})).name;
  assert.equal((await client.getInfo({})).name, first);
  source.identity = await server.node();
  const second = (await client.getInfo({})).name;
  assert.notEqual(second, first);
  assert.equal((await client.getInfo({})).name, second);
});

Deno.test("a call that runs when the identity is renewed ends on the old connection", async () => {
  await using server = await open();
  const source = new Replaceable(await server.node());
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const first = (await client.getInfo({})).name;
  const running = client.notifyRegistrationStatus({});
  await io.until(() => server.started.length === 1);
  source.identity = await server.node();
  assert.notEqual((await client.getInfo({})).name, first);
  assert.deepEqual(server.started, [first]);
  server.release();
  await running;
});

Deno.test("what still runs on an old connection is cancelled before its certificate expires", async () => {
  await using server = await open();
  const expiring = new AbortController();
  const source = new Replaceable({ ...await server.node(), expiring: expiring.signal });
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const running = client.notifyRegistrationStatus({});
  const failed = assert.rejects(running, isRpc(status.UNAVAILABLE, /connection has been closed/));
  await io.until(() => server.started.length === 1);
  source.identity = await server.node();
  await client.getInfo({});
  expiring.abort();
  await failed;
  await client.getInfo({});
  server.release();
});

Deno.test("the connection in use is not cut when its certificate expires and there is no newer one", async () => {
  await using server = await open();
  const expiring = new AbortController();
  const source = new Replaceable({ ...await server.node(), expiring: expiring.signal });
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const running = client.notifyRegistrationStatus({});
  await io.until(() => server.started.length === 1);
  expiring.abort();
  source.identity = undefined;
  await client.getInfo({});
  server.release();
  await running;
});

Deno.test("no call fails that is made in the moment of a renewal", async () => {
  await using server = await open();
  const source = new Replaceable(await server.node());
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const names = new Set<string>();
  for (let renewal = 0; renewal < 5; renewal++) {
    // The second half begins while the first one's connection is not yet made.
    const before = Array.from({ length: 8 }, () => client.getInfo({}));
    source.identity = await server.node();
    const after = Array.from({ length: 8 }, () => client.getInfo({}));
    for (const { name } of await Promise.all([...before, ...after])) names.add(name);
  }
  assert.ok(names.size >= 5, `${names.size}`);
});

Deno.test("old connections are closed when their calls have ended", async () => {
  await using server = await open();
  const source = new Replaceable(await server.node());
  await using relay = await relayTo(server.port);
  const address = `https://127.0.0.1:${relay.port}`;
  using client = connect(Registration, { ...server.options, address, clientIdentity: source });
  const running = client.notifyRegistrationStatus({});
  await io.until(() => server.started.length === 1);
  for (let renewal = 0; renewal < 3; renewal++) {
    source.identity = await server.node();
    await client.getInfo({});
  }
  await io.until(() => relay.open.size === 2);
  server.release();
  await running;
  await io.until(() => relay.open.size === 1);
});

Deno.test("an identity that is not accepted is reported, and its replacement makes the call again", async () => {
  await using server = await open();
  const source = new Replaceable(await server.node());
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const first = (await client.getInfo({})).name;
  server.rejected.add(first);
  await assert.rejects(client.getInfo({}), isRpc(status.UNAUTHENTICATED, /not accepted/));
  assert.deepEqual(source.reports, ["answered", "unauthenticated"]);
  const renewed = await server.node();
  source.onReport = (observation) => {
    if (observation === "unauthenticated") source.identity = renewed;
  };
  assert.notEqual((await client.getInfo({})).name, first);
});

Deno.test("a connection whose calls have ended no longer waits for the expiry of its certificate", async () => {
  await using server = await open();
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  signal.addEventListener = (_type: string, listener: unknown) => void listeners.add(listener);
  signal.removeEventListener = (_type: string, listener: unknown) =>
    void listeners.delete(listener);
  const source = new Replaceable({ ...await server.node(), expiring: signal });
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  const running = client.notifyRegistrationStatus({});
  await io.until(() => server.started.length === 1);
  server.rejected.add((await client.getInfo({})).name);
  for (let n = 0; n < 3; n++) {
    await assert.rejects(client.getInfo({}), isRpc(status.UNAUTHENTICATED, /not accepted/));
  }
  const whileRunning = listeners.size;
  server.release();
  await running;
  assert.deepEqual([whileRunning, listeners.size], [1, 0]);
});

Deno.test("without an identity a call fails at once and names why, and the next one uses it", async () => {
  await using server = await open();
  const source = new Replaceable();
  source.problem = "the token file /token does not exist";
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  await assert.rejects(
    client.getInfo({}),
    isRpc(status.UNAVAILABLE, /can be made: the token file \/token does not exist/),
  );
  source.identity = await server.node();
  await client.getInfo({});
  assert.deepEqual(source.reports, ["answered"]);
});

Deno.test("an error of the service's own is an answer, and only a missing connection is unreachable", async () => {
  const server = await open();
  const source = new Replaceable(await server.node());
  using client = connect(Registration, { ...server.options, clientIdentity: source });
  using other = connect(CertificateService, { ...server.options, clientIdentity: source });
  await assert.rejects(other.issueCertificate({}), isRpc(status.UNIMPLEMENTED));
  await assert.rejects(other.renewCertificate({}), isRpc(status.UNAVAILABLE));
  assert.deepEqual(source.reports, ["answered", "answered"]);
  await client.getInfo({});
  await server[Symbol.asyncDispose]();
  await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
  assert.deepEqual(source.reports.at(-1), "unreachable");
});

Deno.test("a connection that is cut after the handshake is unreachable", async () => {
  const ca = await TestCa.create();
  const { certificatePem, privateKeyPem } = await ca.issue(name);
  const settings = Uint8Array.of(0, 0, 0, 4, 0, 0, 0, 0, 0);
  const options = { cert: certificatePem, key: privateKeyPem, ALPNProtocols: ["h2"] };
  const server = createServer(options, (socket) => {
    socket.on("error", () => {});
    // The call is in progress when the connection ends.
    socket.on("data", () => socket.destroy());
    socket.write(settings);
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const source = new Replaceable(await ca.issue("spiffe://cluster.local/csi-cert-node/node-1"));
  {
    using client = connect(Registration, {
      address: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      trustBundle: () => ca.certificatePem,
      serverName: name,
      clientIdentity: source,
    });
    for (let call = 1; call <= 3; call++) {
      await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
      assert.deepEqual(source.reports, new Array(call).fill("unreachable"));
    }
  }
  await new Promise((resolve) => server.close(resolve));
});

Deno.test("a renewed identity is used with the trust bundle that worked while the file is being replaced", async () => {
  await using server = await open();
  const source = new Replaceable(await server.node());
  let bundle = server.ca.certificatePem;
  using client = connect(Registration, {
    ...server.options,
    trustBundle: () => bundle,
    clientIdentity: source,
  });
  const first = (await client.getInfo({})).name;
  bundle = bundle.slice(0, 100);
  source.identity = await server.node();
  assert.notEqual((await client.getInfo({})).name, first);
});

Deno.test("a broken certificate in the trust bundle fails the call and not the process", async () => {
  await using server = await open();
  const broken = "\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  using client = connect(Registration, {
    ...server.options,
    trustBundle: () => server.ca.certificatePem + broken,
    clientIdentity: new Replaceable(await server.node()),
  });
  await assert.rejects(
    client.getInfo({}),
    isRpc(status.UNAVAILABLE, /the trust bundle holds a certificate that cannot be read/),
  );
});

Deno.test("a peer whose chain cannot be parsed fails the call and not the process", async () => {
  const ca = await TestCa.create();
  const pod = await ca.issue("pod.internal");
  const broken = "\n-----BEGIN CERTIFICATE-----\nMAMCAQE=\n-----END CERTIFICATE-----\n";
  const server = createServer({
    cert: pod.certificatePem + broken,
    key: pod.privateKeyPem,
    ALPNProtocols: ["h2"],
  }, (socket) => socket.on("error", () => {}));
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  {
    using client = connect(Registration, {
      address: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
      trustBundle: () => ca.certificatePem,
      serverName: name,
    });
    await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
  }
  await new Promise((resolve) => server.close(resolve));
});
