import { type Server, status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EventEmitter, once } from "node:events";
import http2, { type ClientHttp2Session, type IncomingHttpHeaders } from "node:http2";
import { gzipSync } from "node:zlib";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { CertificateService } from "../../../src/shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../../src/shared/grpc/rpc_error.ts";
import { CallAdmission } from "../../../src/shared/grpc_server/call_admission.ts";
import { registerService } from "../../../src/shared/grpc_server/server.ts";
import { type GatedServer, gatedServer } from "../../support/gated_server.ts";
import { grpcMessage } from "../../support/http2_frames.ts";
import { stubService } from "../../support/stub_service.ts";

const path = "/certservice.v1.CertificateService/ReportCertificates";

/** A connection of Node's HTTP/2 client, which sends headers that gRPC's does not. */
async function session(served: GatedServer) {
  const socket = await served.openTls();
  const session = http2.connect("https://test", { createConnection: () => socket });
  session.on("error", () => {});
  await once(session, "remoteSettings");
  return Object.assign(session, { [Symbol.dispose]: () => session.destroy() });
}

/** Calls with more headers, and returns those of the answer, trailers included. */
async function call(
  session: ClientHttp2Session,
  headers: Record<string, string>,
  body: Uint8Array | "unfinished" = grpcMessage(Buffer.alloc(0)),
): Promise<IncomingHttpHeaders> {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  let answer: IncomingHttpHeaders = {};
  for (const event of ["response", "trailers"]) {
    stream.on(event, (headers: IncomingHttpHeaders) => answer = { ...answer, ...headers });
  }
  stream.on("error", () => {});
  stream.resume();
  if (body !== "unfinished") stream.end(body);
  await new Promise((resolve) => stream.once("close", resolve));
  return { ...answer, ...(stream.rstCode ? { resetBy: String(stream.rstCode) } : {}) };
}

Deno.test("a compressed request is UNIMPLEMENTED, and grpc-js does not see it", async () => {
  let calls = 0;
  await using served = await gatedServer({}, {
    reportCertificates: () => {
      calls++;
      return Promise.resolve({});
    },
  });
  using client = await session(served);
  for (const encoding of ["gzip", "deflate", "br"]) {
    const message = grpcMessage(gzipSync(Buffer.alloc(10_000_000)), true);
    const answer = await call(client, { "grpc-encoding": encoding }, message);
    assert.equal(answer["grpc-status"], String(status.UNIMPLEMENTED));
    assert.equal(answer["grpc-accept-encoding"], "identity");
  }
  assert.equal(calls, 0);
  for (const headers of [{}, { "grpc-encoding": "identity" }]) {
    assert.equal((await call(client, headers))["grpc-status"], "0");
  }
});

const methods = Object.fromEntries(
  CertificateService.methods.map(({ localName }) => [localName, () => Promise.resolve({})]),
);

Deno.test("each method has a limit of its own for its request", async () => {
  const { implementation } = stubService(CertificateService, methods);
  const limited = registerService(CertificateService, implementation as never, {
    issueCertificate: 4 * 1024,
    renewCertificate: 32 * 1024,
  });
  await using served = await gatedServer({ services: [limited], maxMessageBytes: 8 * 1024 });
  using client = served.connect();
  const exhausted = (error: unknown) =>
    error instanceof RpcError && error.code === status.RESOURCE_EXHAUSTED;
  const request = (bytes: number) => ({ certificateRequest: new Uint8Array(bytes) });
  await client.issueCertificate(request(4_000));
  await assert.rejects(client.issueCertificate(request(4_100)), exhausted);
  await client.renewCertificate(request(32_000));
  await assert.rejects(client.renewCertificate(request(33_000)), exhausted);
  // Without a limit of its own: the server's.
  const report = (bytes: number) => ({ certificates: [{ certificate: new Uint8Array(bytes) }] });
  await client.reportCertificates(report(8_000));
  await assert.rejects(client.reportCertificates(report(9_000)), exhausted);
});

Deno.test("a call may have 32 pairs of headers, and no more", async () => {
  await using served = await gatedServer();
  using client = await session(served);
  // Node adds :scheme and :authority to the four of each call.
  const pairs = (count: number) =>
    Object.fromEntries(Array.from({ length: count - 6 }, (_, n) => [`x-${n}`, "y"]));
  assert.equal((await call(client, pairs(32)))["grpc-status"], "0");
  assert.deepEqual(await call(client, pairs(33)), {
    resetBy: String(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM),
  });
});

Deno.test("a call may have 16 KiB of headers, and no more", async () => {
  await using served = await gatedServer();
  using client = await session(served);
  const headers = (bytes: number) => ({ a: "a".repeat(bytes / 2), b: "b".repeat(bytes / 2) });
  assert.equal((await call(client, headers(15_000)))["grpc-status"], "0");
  assert.deepEqual(await call(client, headers(17_000)), {
    resetBy: String(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM),
  });
});

Deno.test("a call whose request does not end is ended after 10 to 15 seconds, and another one is not", async () => {
  const clock = new FakeClock();
  const release = Promise.withResolvers<void>();
  let entered = 0;
  await using served = await gatedServer({ clock }, {
    reportCertificates: async () => {
      entered++;
      await release.promise;
      return {};
    },
  });
  using client = await session(served);
  /** Of two calls, one without an end; the server has seen both. */
  const pair = async () => {
    const count = entered;
    const calls = [call(client, {}, "unfinished"), call(client, {})] as const;
    await clock.until(() => entered > count);
    return calls;
  };
  let ended = 0;
  const [late, whole] = await pair();
  const lateEnd = late.finally(() => ended++);
  await clock.advance({ seconds: 9 });
  const [later, other] = await pair();
  const laterEnd = later.finally(() => ended++);
  await clock.advance({ seconds: 5 });
  assert.equal(ended, 0);
  await clock.advance({ seconds: 1 });
  const answer = await lateEnd;
  assert.equal(answer["grpc-status"], String(status.DEADLINE_EXCEEDED));
  assert.match(String(answer["grpc-message"]), /not%20ended%20within%2010%20s/);
  assert.equal(ended, 1);
  await clock.advance({ seconds: 5 });
  assert.equal((await laterEnd)["grpc-status"], String(status.DEADLINE_EXCEEDED));
  assert.equal(
    clock.timers,
    2,
    "the listener's probe and the connection's expiry, and no timer for calls",
  );
  release.resolve();
  for (const one of [whole, other]) assert.equal((await one)["grpc-status"], "0");
});

Deno.test("a call at which grpc-js throws is reset, and the process continues", () => {
  const http2Server = new EventEmitter();
  http2Server.on("stream", () => {
    throw new Error("the stream is in a bad state");
  });
  using admission = new CallAdmission({ clock: new FakeClock(), streamingPaths: new Set() });
  admission.guard({ http2Servers: new Map([[http2Server, {}]]) } as unknown as Server);
  const resets: number[] = [];
  const stream = Object.assign(new EventEmitter(), {
    close: (code: number) => resets.push(code),
  });
  http2Server.emit("stream", stream, { ":path": "/a/b" }, 0, []);
  assert.deepEqual(resets, [http2.constants.NGHTTP2_INTERNAL_ERROR]);
  stream.emit("error", new Error("once"));
  stream.emit("error", new Error("twice"));
});
