import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:net";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { fixedIdentity } from "../../../src/shared/grpc_client/client_identity.ts";
import { parseTarget } from "../../../src/shared/grpc_client/target.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import type { PeerVerifier } from "../../../src/shared/grpc_server/peer_verifier.ts";
import { serveTcp, serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { TestPeers } from "../../support/peers.ts";
import { firstAnswer } from "../../support/reconnection.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";
import { TestCa, type TestPair } from "../../../scripts/support/test_ca.ts";

const name = "cert-service.csi-cert-driver.internal";

/** A server with this certificate. */
function serving(identity: TestPair, port = 0, peers?: PeerVerifier) {
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]: () => {} }) };
  const services = [
    stubService(Registration, {
      getInfo: () => Promise.resolve({ name: "the server" }),
    }),
  ];
  return serveTcp({ hostname: "127.0.0.1", port }, { tls, peers, services, graceMs: 0 });
}

const isRpc = (code: status) => (error: unknown) =>
  error instanceof RpcError && error.code === code;

Deno.test("addresses are read in three forms and no other", () => {
  const read = (address: string) => Object.values(parseTarget(address));
  assert.deepEqual(read("unix:///csi/csi.sock"), ["unix:/csi/csi.sock", false, true, false]);
  assert.deepEqual(read("https://cert-service:50051"), [
    "dns:cert-service:50051",
    true,
    false,
    false,
  ]);
  assert.deepEqual(read("https://[::1]/"), ["dns:[::1]:443", true, false, true]);
  assert.deepEqual(read("http://10.0.0.1"), ["dns:10.0.0.1:80", false, false, true]);
  const wrong = ["cert-service:50051", "", "https://", "https://a/b", "https://a?b", "grpc://a:1"];
  for (
    const text of [...wrong, "https://user:pw@a", "unix://relative.sock", "unix:///", "ftp://a"]
  ) {
    assert.throws(() => parseTarget(text), TypeError, text);
  }
});

Deno.test("a changed trust bundle is picked up without a new client", async () => {
  const [old, young] = [await TestCa.create("Old CA"), await TestCa.create("Young CA")];
  await using server = await serving(await young.issue(name));
  let bundle = old.certificatePem;
  using client = connect(Registration, {
    address: `https://127.0.0.1:${server.port}`,
    trustBundle: () => bundle,
    serverName: name,
  });
  await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
  bundle += `\n${young.certificatePem}`;
  // At once: a new bundle does not wait for the old connection's backoff.
  assert.equal((await client.getInfo({})).name, "the server");
});

Deno.test("a client's certificate is read again with the bundle", async () => {
  const ca = await TestCa.create();
  const identity = { ...await ca.issue(name), clientAuthoritiesPem: ca.certificatePem };
  await using server = await serving(identity, 0, new TestPeers());
  let mine = await (await TestCa.create("Wrong CA")).issue("spiffe://a/b");
  using client = connect(Registration, {
    address: `https://127.0.0.1:${server.port}`,
    trustBundle: () => ca.certificatePem,
    serverName: name,
    clientIdentity: { ...fixedIdentity(mine), current: () => mine },
  });
  await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
  mine = await ca.issue("spiffe://a/b");
  assert.equal((await client.getInfo({})).name, "the server");
});

Deno.test("a bundle that is missing or empty fails the call and never means the system's CAs", async () => {
  const ca = await TestCa.create();
  await using server = await serving(await ca.issue(name));
  let bundle: () => string = () => {
    throw new Error("no such file");
  };
  using client = connect(Registration, {
    address: `https://127.0.0.1:${server.port}`,
    trustBundle: () => bundle(),
    serverName: name,
  });
  await assert.rejects(client.getInfo({}), /can be made: no such file/);
  bundle = () => "";
  await assert.rejects(
    client.getInfo({}),
    /can be made: the trust bundle holds no PEM certificate/,
  );
  bundle = () => ca.certificatePem;
  await client.getInfo({});
  // An open connection needs no bundle.
  bundle = () => "";
  await client.getInfo({});
});

Deno.test("a client finds a server that starts again, and until then calls fail at once", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/x.sock`;
  const services = [stubService(Registration, { getInfo: () => Promise.resolve({ name: "x" }) })];
  using client = connect(Registration, { address: `unix://${path}` });
  await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
  for (let life = 0; life < 2; life++) {
    await using _server = await serveUnix(path, { services });
    assert.equal((await firstAnswer(() => client.getInfo({}))).name, "x");
  }
  await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
});

Deno.test("a disposed client refuses further calls", async () => {
  const client = connect(Registration, { address: "unix:///nowhere.sock" });
  client[Symbol.dispose]();
  await assert.rejects(client.getInfo({}), isRpc(status.CANCELLED));
});

Deno.test("a connection that receives a GOAWAY as it opens fails the call, and the next call reaches another server", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/x.sock`;
  // RFC 9113, sections 6.5 and 6.8: SETTINGS, then GOAWAY for stream 0 without an error, in one piece.
  const settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
  const goaway = [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  const rude = createServer((socket) => {
    socket.on("error", () => {});
    socket.resume();
    socket.write(new Uint8Array([...settings, ...goaway]));
  });
  await once(rude.listen(path), "listening");
  using client = connect(Registration, { address: `unix://${path}` });
  await assert.rejects(client.getInfo({}), isRpc(status.UNAVAILABLE));
  await new Promise((resolve) => rude.close(resolve));
  const services = [stubService(Registration, { getInfo: () => Promise.resolve({ name: "x" }) })];
  await using _server = await serveUnix(path, { services });
  assert.equal((await client.getInfo({})).name, "x");
});
