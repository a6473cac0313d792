import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { once } from "node:events";
import { connect as connectPlain } from "node:net";
import { connect as connectTls } from "node:tls";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { type ChannelOptions, connect } from "../../../src/shared/grpc_client/client.ts";
import { fixedIdentity } from "../../../src/shared/grpc_client/client_identity.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import type {
  TlsIdentity,
  TlsIdentitySource,
} from "../../../src/shared/grpc_server/tls_credentials.ts";
import { TestPeers } from "../../support/peers.ts";
import { stubService } from "../../support/stub_service.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";

const name = "cert-service.csi-cert-driver.internal";

/** An identity that a test swaps. */
class Swappable implements TlsIdentitySource {
  readonly #listeners = new Set<() => void>();
  #identity: TlsIdentity;

  constructor(identity: TlsIdentity) {
    this.#identity = identity;
  }

  get followers(): number {
    return this.#listeners.size;
  }

  current(): TlsIdentity {
    return this.#identity;
  }

  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  swap(identity: TlsIdentity): void {
    this.#identity = identity;
    for (const listener of this.#listeners) listener();
  }
}

function serving(tls: TlsIdentitySource, peers?: TestPeers) {
  const getInfo = (_: unknown, { peerCertificate }: { peerCertificate: Uint8Array | undefined }) =>
    Promise.resolve({ name: peerCertificate === undefined ? "anonymous" : "authenticated" });
  const services = [stubService(Registration, { getInfo })];
  return serveTcp({ hostname: "127.0.0.1", port: 0 }, { tls, peers, services, graceMs: 0 });
}

async function ask(port: number, options: Omit<ChannelOptions, "address">): Promise<string> {
  using client = connect(Registration, { address: `https://127.0.0.1:${port}`, ...options });
  return (await client.getInfo({}, { timeoutMs: 30_000 })).name;
}

const trust = (ca: TestCa) => () => ca.certificatePem;
const unavailable = (error: unknown) =>
  error instanceof RpcError && error.code === status.UNAVAILABLE;

/** The DER of the certificate that a new connection is shown. */
async function shownAt(port: number): Promise<string> {
  const socket = connectTls({
    host: "127.0.0.1",
    port,
    servername: name,
    rejectUnauthorized: false,
    ALPNProtocols: ["h2"],
  });
  await once(socket, "secureConnect");
  const shown = socket.getPeerCertificate().raw.toString("hex");
  socket.destroy();
  await once(socket, "close");
  return shown;
}

Deno.test("a client trusts its bundle alone, and only the name it expects", async () => {
  const [ca, other] = [await TestCa.create(), await TestCa.create("Other CA")];
  await using server = await serving(new Swappable(await ca.issue(name)));
  assert.equal(await ask(server.port, { trustBundle: trust(ca), serverName: name }), "anonymous");
  await assert.rejects(
    ask(server.port, { trustBundle: trust(other), serverName: name }),
    unavailable,
  );
  await assert.rejects(
    ask(server.port, { trustBundle: trust(ca), serverName: "other.internal" }),
    unavailable,
  );
  // Without a bundle the system's CAs count.
  await assert.rejects(ask(server.port, { serverName: name }), unavailable);
});

Deno.test("an IP address needs its certificate's name", () => {
  const options = { address: "https://127.0.0.1:1" };
  assert.throws(
    () => connect(Registration, options),
    /set serverName to the name in its certificate/,
  );
});

Deno.test("a chain is served with its leaf first", async () => {
  const ca = await TestCa.create();
  const leaf = await ca.issue(name);
  const certificatePem = `${leaf.certificatePem}\n${ca.certificatePem}`;
  await using server = await serving(new Swappable({ ...leaf, certificatePem }));
  assert.equal(await ask(server.port, { trustBundle: trust(ca), serverName: name }), "anonymous");
});

Deno.test("a swapped certificate is shown to new connections while old ones continue", async () => {
  const ca = await TestCa.create();
  const source = new Swappable(await ca.issue(name));
  await using server = await serving(source);
  using old = connect(Registration, {
    address: `https://127.0.0.1:${server.port}`,
    trustBundle: trust(ca),
    serverName: name,
  });
  await old.getInfo({});
  const before = await shownAt(server.port);
  source.swap(await ca.issue(name));
  const after = await shownAt(server.port);
  assert.notEqual(before, after);
  await old.getInfo({});
  assert.equal(await ask(server.port, { trustBundle: trust(ca), serverName: name }), "anonymous");
});

Deno.test("with an unusable new certificate the old one remains in use", async () => {
  const ca = await TestCa.create();
  const [first, second] = [await ca.issue(name), await ca.issue(name)];
  const source = new Swappable(first);
  await using server = await serving(source);
  const before = await shownAt(server.port);
  source.swap({ ...second, privateKeyPem: first.privateKeyPem });
  source.swap({ certificatePem: "torn", privateKeyPem: "torn" });
  assert.equal(await shownAt(server.port), before);
  assert.equal(await ask(server.port, { trustBundle: trust(ca), serverName: name }), "anonymous");
});

Deno.test("a server does not start with a key that is not its certificate's", async () => {
  const ca = await TestCa.create();
  const [a, b] = [await ca.issue(name), await ca.issue(name)];
  const source = new Swappable({ ...a, privateKeyPem: b.privateKeyPem });
  await assert.rejects(serving(source), /private key is not the certificate's/);
  const empty = new Swappable({ ...a, clientAuthoritiesPem: "" });
  await assert.rejects(serving(empty, new TestPeers()), /CAs for client certificates hold no PEM/);
  assert.equal(source.followers + empty.followers, 0);
});

Deno.test("a stopped server follows its identity no longer", async () => {
  const ca = await TestCa.create();
  const source = new Swappable(await ca.issue(name));
  {
    await using _server = await serving(source);
    assert.equal(source.followers, 1);
  }
  assert.equal(source.followers, 0);
});

Deno.test("where client certificates are asked for, only those of the right CA get in", async () => {
  const [ca, clients] = [await TestCa.create(), await TestCa.create("Client CA")];
  const source = new Swappable({
    ...await ca.issue(name),
    clientAuthoritiesPem: clients.certificatePem,
  });
  await using server = await serving(source, new TestPeers());
  const options = { trustBundle: trust(ca), serverName: name };
  const good = await clients.issue("spiffe://cluster.local/csi-cert-node/node-1");
  const bad = await ca.issue("spiffe://cluster.local/csi-cert-node/node-1");
  assert.equal(
    await ask(server.port, { ...options, clientIdentity: fixedIdentity(good) }),
    "authenticated",
  );
  await assert.rejects(
    ask(server.port, { ...options, clientIdentity: fixedIdentity(bad) }),
    unavailable,
  );
  await assert.rejects(ask(server.port, options), unavailable);
});

/** What a server answers to these first bytes, until it closes the connection. */
async function answerTo(port: number, bytes: Uint8Array): Promise<Buffer> {
  const socket = connectPlain({ host: "127.0.0.1", port });
  const parts: Buffer[] = [];
  socket.on("data", (part: Buffer) => parts.push(part));
  socket.on("error", () => {});
  socket.end(bytes);
  await once(socket, "close");
  return Buffer.concat(parts);
}

/** A ClientHello (RFC 5246, section 7.4.1.2) that offers a version at most, and all that TLS 1.2 needs. */
function clientHello(minor: number): Uint8Array {
  const groups = [0, 10, 0, 4, 0, 2, 0, 23]; // supported_groups: secp256r1
  const signatures = [0, 13, 0, 4, 0, 2, 4, 3]; // signature_algorithms: ecdsa_secp256r1_sha256
  const extendedSecret = [0, 23, 0, 0];
  const extensions = [...groups, ...signatures, ...extendedSecret];
  const suites = [0xc0, 0x09, 0xc0, 0x2b]; // ECDHE-ECDSA with AES-128: CBC-SHA, GCM-SHA256
  const random = new Array(32).fill(7);
  const body = [3, minor, ...random, 0, 0, suites.length, ...suites, 1, 0, 0, extensions.length];
  const length = body.length + extensions.length;
  return new Uint8Array([22, 3, 1, 0, length + 4, 1, 0, 0, length, ...body, ...extensions]);
}

Deno.test("a client that supports TLS 1.2 at most is rejected", async () => {
  const ca = await TestCa.create();
  await using server = await serving(new Swappable(await ca.issue(name)));
  for (const minor of [2, 3]) {
    // RFC 8446, section 5.1: a record of type 22 is a handshake; 21 an alert, here a fatal one.
    const refusal = await answerTo(server.port, clientHello(minor));
    assert.deepEqual([refusal[0], refusal[5]], [21, 2]);
  }
});

Deno.test("plaintext gets no answer from a TLS port, and TLS none from a plaintext port", async () => {
  const ca = await TestCa.create();
  await using server = await serving(new Swappable(await ca.issue(name)));
  using plain = connect(Registration, { address: `http://127.0.0.1:${server.port}` });
  await assert.rejects(plain.getInfo({}, { timeoutMs: 5000 }), unavailable);
  const services = [stubService(Registration, { getInfo: () => Promise.resolve({ name: "x" }) })];
  await using open = await serveTcp({ hostname: "127.0.0.1", port: 0 }, { services, graceMs: 0 });
  const options = { trustBundle: trust(ca), serverName: name };
  await assert.rejects(ask(open.port, options), unavailable);
  using client = connect(Registration, { address: `http://127.0.0.1:${open.port}` });
  assert.equal((await client.getInfo({})).name, "x");
});

Deno.test("an address that is in use is named with its variable", async () => {
  await using first = await serveTcp({ hostname: "127.0.0.1", port: 0 }, { services: [] });
  const address = { hostname: "127.0.0.1", port: first.port, variable: "LISTEN_ADDR" };
  await assert.rejects(serveTcp(address, { services: [] }), (error: Error) => {
    assert.match(
      error.message,
      new RegExp(`^cannot listen on 127.0.0.1:${first.port} \\(LISTEN_ADDR\\): .*in use`, "i"),
    );
    return true;
  });
});
