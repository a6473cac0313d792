import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { connect as connectPlain } from "node:net";
import { setImmediate as turn, setTimeout as pause } from "node:timers/promises";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import type { PeerDecision } from "../../../src/shared/grpc_server/peer_verifier.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { captureLogs } from "../../support/captured_logs.ts";
import { closed, type GatedServer, gatedServer, serverName } from "../../support/gated_server.ts";
import { TestPeers } from "../../support/peers.ts";
import { stubService } from "../../support/stub_service.ts";
import { testWith } from "../../support/workbench.ts";

/** Lets I/O happen until something is so. */
async function until(condition: () => boolean): Promise<void> {
  for (let turns = 0; !condition(); turns++) {
    assert.ok(turns < 100_000, `still not so: ${condition}`);
    await turn();
  }
}

/** Waits until the server has seen so many connections, which were refused or not. */
const seen = ({ server, refusals }: GatedServer, count: number) =>
  until(() => server.connections.unfinished + refusals.length >= count);

Deno.test("of half-open connections 64 remain: the oldest of the address with most is closed, and honest clients are served", async () => {
  await using served = await gatedServer();
  const other = await served.openPlain("127.0.0.2");
  const silent = await Promise.all(Array.from({ length: 100 }, () => served.openPlain()));
  await seen(served, 101);
  assert.deepEqual(served.server.connections, { unfinished: 64, authenticated: 0, anonymous: 0 });
  assert.deepEqual(served.refusals, Array.from({ length: 37 }, () => "handshakes"));
  assert.equal(silent.slice(0, 37).every((socket) => socket.listenerCount("close") === 0), true);
  await Promise.all(silent.slice(0, 37).map(closed));
  assert.equal(other.destroyed, false);
  await served.call();
  for (const socket of [other, ...silent]) socket.destroy();
});

for (const hostname of ["127.0.0.1", "::"]) {
  Deno.test(`an address that connects to ${hostname} too often is not answered, and another one is`, async () => {
    const clock = new FakeClock();
    await using served = await gatedServer({ hostname, clock, limits: {} });
    const open = async (count: number, address?: string) => {
      const sockets = await Promise.all(
        Array.from({ length: count }, () => served.openPlain(address)),
      );
      await seen(served, total += count);
      return sockets;
    };
    let total = 0;
    const first = await open(50);
    assert.deepEqual(served.refusals, Array.from({ length: 10 }, () => "rate"));
    await clock.advance({ seconds: 1 });
    const second = await open(25);
    assert.equal(served.refusals.length, 15);
    const third = await open(1, "127.0.0.2");
    assert.equal(served.refusals.length, 15);
    for (const socket of [...first, ...second, ...third]) socket.destroy();
  });
}

Deno.test("an address may connect more often once it has shown a valid certificate", async () => {
  const clock = new FakeClock();
  await using served = await gatedServer({ clock, limits: {} });
  const expiresAt = clock.now().add({ hours: 1 });
  served.peers.decide = () => ({ kind: "accepted", owner: "node-1", expiresAt });
  await served.call();
  const sockets = await Promise.all(Array.from({ length: 60 }, () => served.openPlain()));
  await seen(served, 60);
  assert.deepEqual(served.refusals, []);
  for (const socket of sockets) socket.destroy();
});

Deno.test("a handshake that does not end is ended", async () => {
  await using served = await gatedServer({ limits: { handshakeMs: 50 } });
  await closed(await served.openPlain());
  await until(() => served.refusals.length > 0);
  assert.deepEqual([served.refusals, served.server.connections.unfinished], [["tls"], 0]);
});

Deno.test("a client without a certificate, or with another CA's, gets no answer", async () => {
  await using served = await gatedServer();
  const unrelated = await (await TestCa.create("Other CA")).issue("spiffe://a/b");
  const strange = { cert: unrelated.certificatePem, key: unrelated.privateKeyPem };
  for (const options of [{ cert: undefined, key: undefined }, strange]) {
    const socket = await served.openTls(options);
    const received: Buffer[] = [];
    socket.on("data", (data: Buffer) => received.push(data));
    await closed(socket);
    assert.deepEqual(received, []);
  }
  assert.deepEqual([served.refusals, served.peers.verified], [["tls", "tls"], 0]);
});

for (const ALPNProtocols of [[], ["http/1.1"]]) {
  Deno.test(`a client that offers ${ALPNProtocols[0] ?? "no protocol"} gets no answer`, async () => {
    await using served = await gatedServer();
    const socket = await served.openTls({ ALPNProtocols }).catch(() => undefined);
    if (socket !== undefined) await closed(socket);
    await until(() => served.refusals.length > 0);
    assert.deepEqual([served.refusals.length, served.peers.verified], [1, 0]);
  });
}

Deno.test("the log names an IPv4 client of a server on [::] by its IPv4 address", async () => {
  await using logs = await captureLogs(["grpc", "connections"]);
  await using served = await gatedServer({ hostname: "::" });
  served.peers.decide = () => ({ kind: "rejected", reason: "the node is revoked" });
  await closed(await served.openTls());
  const lines = logs.records.map(({ properties }) => properties);
  assert.deepEqual(lines, [{ from: "127.0.0.1", reason: "the node is revoked" }]);
});

Deno.test("HTTP/2 sends nothing to a client whose certificate is rejected", async () => {
  await using served = await gatedServer();
  served.peers.decide = () => ({ kind: "rejected", reason: "the node is revoked" });
  const socket = await served.openTls();
  const received: Buffer[] = [];
  socket.on("data", (data: Buffer) => received.push(data));
  socket.write("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  await closed(socket);
  assert.deepEqual([received, served.refusals], [[], ["peer"]]);
});

Deno.test("a client that sends while its certificate is verified keeps what it sends", async () => {
  await using served = await gatedServer();
  const decision = Promise.withResolvers<PeerDecision>();
  served.peers.decide = () => decision.promise;
  const socket = await served.openTls();
  await until(() => served.peers.verified === 1);
  let sent = 0;
  const send = () => {
    while (sent < 64 && !socket.destroyed) {
      sent++;
      if (!socket.write(Buffer.alloc(1024 * 1024), () => written++)) return;
    }
  };
  let written = 0;
  socket.on("drain", send);
  send();
  for (let last = -1; last !== written;) {
    last = written;
    await pause(50);
  }
  // The kernel's buffers take some of it.
  assert.ok(written < 32, `${written} MiB were taken in`);
  decision.resolve({ kind: "rejected", reason: "the node is revoked" });
  await closed(socket);
});

Deno.test("a report of a refused connection that throws harms no connection", async () => {
  await using served = await gatedServer({
    onRefusal: () => {
      throw new Error("the disk is full");
    },
  });
  const { decide } = served.peers;
  served.peers.decide = () => ({ kind: "rejected", reason: "the node is revoked" });
  await closed(await served.openTls());
  served.peers.decide = decide;
  const socket = await served.openSession();
  served.peers.change(() => ({ kind: "rejected", reason: "the node is revoked" }));
  await closed(socket);
  served.peers.change(decide);
  await served.call();
});

Deno.test("a verifier that fails rejects the client", async () => {
  await using served = await gatedServer();
  served.peers.decide = () => Promise.reject(new Error("out of memory"));
  await closed(await served.openTls());
  assert.deepEqual(served.refusals, ["peer"]);
});

/** Connects with OpenSSL, as Deno's client resumes no session; stays until it is killed or closed. */
function openssl(served: GatedServer, folder: string, ...args: string[]): Deno.ChildProcess {
  const path = (name: string) => `${folder}/${name}.pem`;
  Deno.writeTextFileSync(path("ca"), served.ca.certificatePem);
  Deno.writeTextFileSync(path("cert"), served.client.certificatePem);
  Deno.writeTextFileSync(path("key"), served.client.privateKeyPem);
  const files = ["-CAfile", path("ca"), "-cert", path("cert"), "-key", path("key")];
  const name = ["-servername", serverName, "-alpn", "h2", "-connect"];
  return new Deno.Command("openssl", {
    args: ["s_client", ...files, ...name, `127.0.0.1:${served.server.port}`, ...args],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
}

/** What a process prints, until it has printed a text or has ended. */
async function printed(process: Deno.ChildProcess, text: string): Promise<string> {
  let all = "";
  for await (const part of process.stdout.pipeThrough(new TextDecoderStream())) {
    all += part;
    if (all.includes(text)) break;
  }
  return all;
}

testWith("openssl", "a resumed session is verified again", async (bench) => {
  await using served = await gatedServer();
  const session = `${bench.path}/session.pem`;
  const first = openssl(served, bench.path, "-sess_out", session);
  await printed(first, "Start Time");
  first.kill();
  assert.equal(served.peers.verified, 1);
  served.peers.decide = () => ({ kind: "rejected", reason: "its CA is no longer trusted" });
  const again = openssl(served, bench.path, "-sess_in", session);
  assert.match(await printed(again, "no such text"), /^Reused, TLSv1.3/m);
  await Promise.all([first, again].map(({ status }) => status));
  assert.deepEqual([served.peers.verified, served.refusals], [2, ["peer"]]);
});

Deno.test("without client certificates the connections are bounded, and those of the address with most are closed", async () => {
  const ca = await TestCa.create();
  const identity = await ca.issue(serverName);
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]() {} }) };
  const services = [
    stubService(CertificateService, { reportCertificates: () => Promise.resolve({}) }),
  ];
  for (const isTls of [true, false]) {
    const refusals: string[] = [];
    await using server = await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
      services,
      graceMs: 0,
      limits: { anonymous: 3 },
      onRefusal: (why) => refusals.push(why),
      ...(isTls ? { tls } : {}),
    });
    const address = `${isTls ? "https" : "http"}://127.0.0.1:${server.port}`;
    const trust = isTls ? { trustBundle: () => ca.certificatePem, serverName } : {};
    using clients = new DisposableStack();
    for (let n = 0; n < 5; n++) {
      const client = clients.use(connect(CertificateService, { address, ...trust }));
      await client.reportCertificates({});
    }
    assert.deepEqual(server.connections, { unfinished: 0, authenticated: 0, anonymous: 3 });
    assert.deepEqual(refusals, ["connections", "connections"]);
  }
});

Deno.test("without client certificates each address may connect as often as a node's", async () => {
  const clock = new FakeClock();
  const refusals: string[] = [];
  await using server = await serveTcp({ hostname: "127.0.0.1", port: 0 }, {
    services: [],
    graceMs: 0,
    clock,
    onRefusal: (why) => refusals.push(why),
  });
  const open = () => connectPlain({ host: "127.0.0.1", port: server.port }).on("error", () => {});
  const sockets = [];
  for (let count = 1; count <= 450; count++) {
    sockets.push(open());
    // More than the kernel keeps for the server at once would wait for a second.
    if (count % 50 > 0) continue;
    await until(() => server.connections.anonymous + refusals.length === count);
  }
  assert.deepEqual(refusals, Array.from({ length: 50 }, () => "rate"));
  for (const socket of sockets) socket.destroy();
});

Deno.test("client CAs without a peer verifier are an error, and so is a verifier without them", async () => {
  const ca = await TestCa.create();
  const plain = await ca.issue(serverName);
  const mutual = { ...plain, clientAuthoritiesPem: ca.certificatePem };
  const source = (identity: typeof plain) => ({
    current: () => identity,
    onChange: () => ({ [Symbol.dispose]() {} }),
  });
  for (
    const options of [
      { tls: source(mutual) },
      { tls: source(plain), peers: new TestPeers() },
      { peers: new TestPeers() },
    ]
  ) {
    const start = serveTcp({ hostname: "127.0.0.1", port: 0 }, { services: [], ...options });
    await assert.rejects(start, /CAs for client certificates and a peer verifier need each other/);
  }
});

Deno.test("a server that stops answers the calls that it has, also over TLS", async () => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const served = await gatedServer({ graceMs: 60_000 }, {
    reportCertificates: async () => {
      entered.resolve();
      await release.promise;
      return {};
    },
  });
  const silent = await served.openPlain();
  const call = served.call();
  await entered.promise;
  const stopped = served[Symbol.asyncDispose]();
  release.resolve();
  await call;
  await stopped;
  await closed(silent);
  assert.deepEqual(served.refusals, []);
});

for (const hostname of ["::1", "localhost", "0.0.0.0", "::"]) {
  Deno.test(`a server listens on ${hostname}`, async () => {
    const services = [
      stubService(CertificateService, { reportCertificates: () => Promise.resolve({}) }),
    ];
    await using server = await serveTcp({ hostname, port: 0 }, { services, graceMs: 0 });
    const name = hostname.startsWith("::") ? "[::1]" : "127.0.0.1";
    using client = connect(CertificateService, { address: `http://${name}:${server.port}` });
    await client.reportCertificates({});
  });
}
