import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import {
  type AddressInfo,
  createServer as createPlainServer,
  type Server,
  type Socket,
} from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { Registration } from "../../../src/shared/gen/plugin_registration_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import { countTurns } from "../../support/count_turns.ts";
import {
  frame,
  frameFlag,
  frameType,
  headerBlock,
  preface,
  repeat,
} from "../../support/http2_frames.ts";
import { connectionAttempt, firstAnswer } from "../../support/reconnection.ts";
import { stubService } from "../../support/stub_service.ts";
import { captureLogs } from "../../support/captured_logs.ts";

const name = "cert-service.csi-cert-driver.internal";
const settings = frame(frameType.settings, 0, 0);
const acknowledgement = frame(frameType.settings, frameFlag.ack, 0);
const firstStream = 1;
/** A flood that still runs after so many turns of the event loop has no bound. */
const mostTurns = 2_000;

const informational = (pairs: readonly (readonly [string, string])[]) =>
  frame(
    frameType.headers,
    frameFlag.endHeaders,
    firstStream,
    headerBlock([[":status", "103"], ...pairs]),
  );

const floods: Record<string, Uint8Array> = {
  "1xx responses": repeat(informational([["x-a", "b".repeat(500)]]), 50),
  "short 1xx responses": repeat(informational([]), 1_000),
  "PING": repeat(frame(frameType.ping, 0, 0, Buffer.alloc(8)), 500),
  "SETTINGS": repeat(settings, 500),
};

/** Writes the bytes again and again, as fast as the client reads. */
function flood(socket: Socket, bytes: Uint8Array): void {
  const write = () => {
    if (socket.destroyed) return;
    if (socket.write(bytes)) setImmediate(write);
    else socket.once("drain", write);
  };
  write();
}

/** Answers the first call of each connection with a flood. */
function speak(socket: Socket, bytes: Uint8Array): void {
  const received: Buffer[] = [];
  const wait = (chunk: Buffer) => {
    received.push(chunk);
    if (!hasCall(Buffer.concat(received))) return;
    socket.off("data", wait);
    socket.resume();
    flood(socket, bytes);
  };
  socket.on("error", () => {});
  socket.on("data", wait);
  socket.write(Buffer.concat([settings, acknowledgement]));
}

/** Whether a client has sent HEADERS after its preface. */
function hasCall(bytes: Buffer): boolean {
  for (let at = preface.length; at + 9 <= bytes.length; at += 9 + bytes.readUIntBE(at, 3)) {
    if (bytes.readUInt8(at + 3) === frameType.headers) return true;
  }
  return false;
}

async function listen(server: Server) {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => sockets.add(socket));
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return sockets.size;
    },
    async [Symbol.asyncDispose]() {
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

/** A server by hand whose certificate the client accepts. */
async function floodingServer(ca: TestCa, bytes: Uint8Array) {
  const { certificatePem: cert, privateKeyPem: key } = await ca.issue(name);
  const tls = createTlsServer({ cert, key, ALPNProtocols: ["h2"] });
  tls.on("secureConnection", (socket) => speak(socket, bytes));
  tls.on("tlsClientError", () => {});
  return await listen(tls);
}

/** Verifies that the call fails for its connection, and that the event loop turns meanwhile. */
async function failsSoon(call: Promise<unknown>): Promise<void> {
  const io = new FakeClock();
  using turns = countTurns();
  let failure: unknown;
  call.then(() => failure = "an answer", (error) => failure = error);
  await io.until(() => failure !== undefined, mostTurns);
  assert.ok(failure instanceof RpcError, `${failure}`);
  assert.equal(failure.code, status.UNAVAILABLE, failure.message);
  assert.ok(turns.now > 2, `${turns.now} turns`);
}

for (const [what, bytes] of Object.entries(floods)) {
  Deno.test(`a server's flood of ${what} ends its connection, and an honest server is then called`, async () => {
    const ca = await TestCa.create();
    const flooding = await floodingServer(ca, bytes);
    const { port } = flooding;
    using client = connect(Registration, {
      address: `https://127.0.0.1:${port}`,
      trustBundle: () => ca.certificatePem,
      serverName: name,
    });
    await failsSoon(client.getInfo({}));
    await flooding[Symbol.asyncDispose]();
    const identity = await ca.issue(name);
    await using _server = await serveTcp({ hostname: "127.0.0.1", port }, {
      tls: { current: () => identity, onChange: () => ({ [Symbol.dispose]: () => {} }) },
      services: [stubService(Registration, { getInfo: () => Promise.resolve({ name: "honest" }) })],
      graceMs: 0,
    });
    assert.equal((await firstAnswer(() => client.getInfo({}))).name, "honest");
  });
}

Deno.test("a server that floods each connection ends each of them, and is logged once", async () => {
  await using logs = await captureLogs(["grpc", "client"]);
  const { records } = logs;
  const server = createPlainServer((socket) => speak(socket, floods["1xx responses"]!));
  await using flooding = await listen(server);
  const address = `http://127.0.0.1:${flooding.port}`;
  using client = connect(Registration, { address, clock: new FakeClock() });
  while (flooding.connections < 3) {
    await failsSoon(client.getInfo({}));
    await connectionAttempt();
  }
  assert.deepEqual(records.map(({ level }) => level), ["warning"]);
  assert.match(
    records[0]!.message.join(""),
    /^closed the connection to .*: the server sent too many .*HEADERS frames on one stream/,
  );
  assert.equal(records[0]!.properties.address, address);
});
