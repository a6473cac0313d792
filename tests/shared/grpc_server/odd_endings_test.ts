import { Buffer } from "node:buffer";
import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { serveTcp } from "../../../src/shared/grpc_server/server.ts";
import {
  frame,
  frameFlag,
  frameType,
  grpcMessage,
  preface,
  requestHeaders,
} from "../../support/http2_frames.ts";
import { TestPeers } from "../../support/peers.ts";
import { stubService } from "../../support/stub_service.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";

const unlimited = { perSecond: Infinity, burst: Infinity };
const name = "cert-service.csi-cert-driver.internal";

/** A server that wants a client's certificate, and a client that has one. */
async function serving() {
  const ca = await TestCa.create();
  const identity = { ...await ca.issue(name), clientAuthoritiesPem: ca.certificatePem };
  const client = await ca.issue("spiffe://cluster.local/csi-cert-node/node-1");
  const tls = { current: () => identity, onChange: () => ({ [Symbol.dispose]() {} }) };
  const services = [
    stubService(CertificateService, {
      getCertificateInfo: async () => {
        await turn();
        return {};
      },
      async *watchTrustBundle() {
        yield { certificates: [] };
        await turn();
        yield { certificates: [] };
      },
    }),
  ];
  const server = await serveTcp("127.0.0.1:0", {
    services,
    tls,
    peers: new TestPeers(),
    graceMs: 0,
    limits: { rates: { unknown: unlimited, recognized: unlimited } },
  });
  const options = {
    ca: ca.certificatePem,
    cert: client.certificatePem,
    key: client.privateKeyPem,
    servername: name,
    ALPNProtocols: ["h2"],
  };
  return {
    open: async () => {
      const socket = connectTls({ host: "127.0.0.1", port: server.port, ...options });
      socket.on("error", () => {});
      await once(socket, "secureConnect");
      return socket;
    },
    /** A connection on which both sides have said how they speak HTTP/2. */
    openSession: async () => {
      const socket = connectTls({ host: "127.0.0.1", port: server.port, ...options });
      socket.on("error", () => {});
      await once(socket, "secureConnect");
      socket.write(Buffer.concat([preface, frame(frameType.settings, 0, 0)]));
      await once(socket, "data");
      socket.write(frame(frameType.settings, frameFlag.ack, 0));
      await turn();
      return socket;
    },
    ask: async () => {
      using asked = connect(CertificateService, {
        address: `https://127.0.0.1:${server.port}`,
        trustBundle: () => ca.certificatePem,
        serverName: name,
        clientIdentity: () => client,
      });
      await asked.getCertificateInfo({}, { timeoutMs: 10_000 });
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

/** The steps of a call, in which it is broken off. */
function callOf(method: string): Buffer[] {
  const path = `/${CertificateService.typeName}/${method}`;
  return [
    preface,
    frame(frameType.settings, 0, 0),
    frame(frameType.headers, frameFlag.endHeaders, 1, requestHeaders(path)),
    frame(frameType.data, frameFlag.endStream, 1, grpcMessage(Buffer.alloc(0))),
  ];
}

const goaway = frame(7, 0, 0, Buffer.alloc(8));
const cancel = frame(frameType.resetStream, 0, 1, Buffer.of(0, 0, 0, 8));

const endings: Record<string, (socket: TLSSocket) => void> = {
  "destroyed": (socket) => void socket.destroy(),
  "half-closed": (socket) => void socket.end(),
  "left after a GOAWAY": (socket) => void socket.end(goaway),
  "destroyed after a RST_STREAM": (socket) => {
    socket.write(cancel);
    socket.destroy();
  },
  "ended by bytes that are no frame": (socket) => void socket.end(Buffer.alloc(64, 0xff)),
};

for (const [ending, end] of Object.entries(endings)) {
  Deno.test(`a connection that is ${ending} at any moment of a call harms no other`, async () => {
    await using served = await serving();
    for (const method of ["GetCertificateInfo", "WatchTrustBundle"]) {
      const steps = callOf(method);
      for (let sent = 0; sent <= steps.length; sent++) {
        for (const turns of [0, 1, 3]) {
          const socket = await served.open();
          const closed = new Promise((resolve) => socket.once("close", resolve));
          if (sent > 0) socket.write(Buffer.concat(steps.slice(0, sent)));
          for (let n = 0; n < turns; n++) await turn();
          end(socket);
          setTimeout(() => socket.destroy(), 20);
          await closed;
        }
      }
      for (let n = 0; n < 30; n++) {
        const socket = await served.openSession();
        const closed = new Promise((resolve) => socket.once("close", resolve));
        socket.write(Buffer.concat(steps.slice(2)));
        for (let t = 0; t < n % 5; t++) await turn();
        end(socket);
        setTimeout(() => socket.destroy(), 20);
        await closed;
      }
    }
    await served.ask();
  });
}
