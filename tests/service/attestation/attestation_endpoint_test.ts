import assert from "node:assert/strict";
import { connect } from "node:tls";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import type { TcpListener } from "../../../src/service/attestation/attestation_endpoint.ts";
import { maxRequestBytes } from "../../../src/service/attestation/connection.ts";
import { readCertificates } from "../../../src/shared/x509/certificate.ts";
import { openAttestor } from "./attestation_fixture.ts";
import {
  openEndpoint,
  readAnswer,
  readToEnd,
  requestOf,
  secured,
  serverName,
} from "./endpoint_fixture.ts";

const pem = "-----BEGIN CERTIFICATE REQUEST-----\nMAA=\n-----END CERTIFICATE REQUEST-----\n";
const body = JSON.stringify({ token: "a.b.c", certificateSigningRequest: pem });
const silent = () => {};

Deno.test("a driver receives its node's certificate over the socket", async () => {
  await using api = await openAttestor();
  await using service = await openEndpoint({
    attest: (request, signal) => api.attestor.attest(request, signal),
  });
  const answer = await service.send(requestOf(api.bodyOf(api.server.tokens.make())));
  assert.equal(answer?.status, 200, `${answer?.text}`);
  const [leaf, ...more] = readCertificates(answer.body.certificateChain ?? "") ?? [];
  assert.equal(more.length, 0);
  assert.deepEqual(leaf?.uris, ["spiffe://cluster.local/csi-cert-node/node-1"]);
  assert.equal(answer.body.notAfter, String(leaf?.notAfter));
  assert.equal(answer.fields.get("connection"), "close");
  assert.equal(answer.fields.get("content-type"), "application/json");
  const refused = await service.send(requestOf(api.bodyOf("a.b.c")));
  assert.equal(refused?.status, 401);
  assert.match(refused.body.error ?? "", /not a JSON Web Token/);
});

Deno.test("each outcome has its status, and Retry-After where trying again helps", async () => {
  const retryAfter = Temporal.Duration.from({ milliseconds: 1_500 });
  const outcomes = [
    [{ kind: "malformed", reason: "r" }, 400, undefined],
    [{ kind: "unauthenticated", reason: "r" }, 401, undefined],
    [{ kind: "denied", reason: "r" }, 403, undefined],
    [{ kind: "overloaded", reason: "r", retryAfter }, 429, "2"],
    [{ kind: "unavailable", reason: "r", retryAfter }, 503, "2"],
  ] as const;
  for (const [outcome, status, seconds] of outcomes) {
    await using service = await openEndpoint({ attest: () => Promise.resolve(outcome) });
    const answer = await service.send(requestOf(body));
    assert.equal(answer?.status, status);
    assert.equal(answer.fields.get("retry-after"), seconds);
    assert.deepEqual(answer.body, { error: "r" });
  }
});

Deno.test("a fault of the service is answered with 503 and without its details", async () => {
  await using service = await openEndpoint({
    attest: () => Promise.reject(new TypeError("secret")),
  });
  const answer = await service.send(requestOf(body));
  assert.equal(answer?.status, 503);
  assert.ok(!answer.text.includes("secret"));
});

const head = (length: number, ...fields: string[]) =>
  [
    "POST /v1/node-certificate HTTP/1.1",
    "Host: a",
    "Content-Type: application/json",
    `Content-Length: ${length}`,
    ...fields,
    "",
    "",
  ].join("\r\n");

Deno.test("malformed requests are answered with the fault, and nothing is attested", async () => {
  let attested = 0;
  await using service = await openEndpoint({
    attest: () => {
      attested++;
      return Promise.reject(new Error("not to be called"));
    },
  });
  const rows: [string, number][] = [
    ["garbage\r\n\r\n", 400],
    ["GET /v1/node-certificate HTTP/1.1\r\nHost: a\r\n\r\n", 411],
    [head(2).replace("POST", "PUT") + "{}", 400],
    ["POST / HTTP/1.1\nHost: a\n", 400],
    [head(2).replace("/v1/node-certificate", "/") + "{}", 400],
    [head(2).replace("application/json", "text/plain") + "{}", 400],
    [head(2, "Content-Length: 2") + "{}", 400],
    [head(2, "Transfer-Encoding: chunked") + "2\r\n{}\r\n0\r\n\r\n", 400],
    [head(2).replace("Content-Length: 2", "Transfer-Encoding: chunked") + "0\r\n\r\n", 411],
    [head(2).replace("Content-Length: 2\r\n", ""), 411],
    [head(2) + "{}{}", 400],
    [head(2) + "{}", 400],
    [head(4) + "null", 400],
    [head(4) + "\xff\xff", 400],
    [requestOf(JSON.stringify({ token: "", certificateSigningRequest: pem })), 400],
    [requestOf(JSON.stringify({ token: 1, certificateSigningRequest: pem })), 400],
    [requestOf(JSON.stringify({ token: "a.b.c", certificateSigningRequest: "x" })), 400],
    [requestOf(JSON.stringify({ token: "a.b.c", certificateSigningRequest: pem + pem })), 400],
    [head(maxRequestBytes), 413],
    [head(10_000_000) + "x".repeat(100_000), 413],
    ["POST / HTTP/1.1\r\nX: " + "a".repeat(maxRequestBytes), 413],
  ];
  for (const [text, status] of rows) {
    const answer = await service.send(text);
    assert.equal(answer?.status, status, text.slice(0, 80));
    assert.equal(typeof answer.body.error, "string");
  }
  assert.equal(attested, 0);
});

Deno.test("a request of exactly 16 KiB is read, in pieces of any size", async () => {
  const seen: string[] = [];
  await using service = await openEndpoint({
    attest: ({ token }) => {
      seen.push(token);
      return Promise.resolve({ kind: "denied", reason: "read" });
    },
  });
  const overhead = requestOf(JSON.stringify({ token: "", certificateSigningRequest: pem })).length;
  const full = (length: number) =>
    requestOf(JSON.stringify({ token: "t".repeat(length), certificateSigningRequest: pem }));
  // The length of a body of 16 KiB has three digits more.
  let request = full(maxRequestBytes - overhead - 2);
  assert.equal(request.length, maxRequestBytes);
  assert.equal((await service.send(request))?.status, 403);
  const pieces = Array.from(
    { length: 16 },
    (_, index) => request.slice(index * 1024, (index + 1) * 1024),
  );
  assert.equal((await service.send(...pieces))?.status, 403);
  assert.equal(seen.length, 2);
  request = full(maxRequestBytes - overhead - 1);
  assert.equal((await service.send(request))?.status, 413);
});

Deno.test("a client without TLS receives nothing, and each connection ends after five seconds", async () => {
  const clock = new FakeClock();
  await using service = await openEndpoint({ clock });
  const plaintext = service.tcp();
  plaintext.write("POST /v1/node-certificate HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.doesNotMatch(await readToEnd(plaintext), /HTTP/);
  const quiet = [service.tcp(), service.tcp()];
  const ends = quiet.map(readToEnd);
  quiet[1]!.write(Uint8Array.of(0x16, 0x03, 0x01, 0x02));
  const slow = service.tls();
  const slowEnd = readToEnd(slow);
  await secured(slow);
  slow.write(head(100) + "{");
  await clock.until(() => service.open() === 3);
  await clock.advance({ milliseconds: 4_900 });
  assert.equal(service.open(), 3);
  slow.write('"');
  await clock.advance({ milliseconds: 200 });
  await Promise.all([...ends, slowEnd]);
  await clock.until(() => service.open() === 0);
});

const descriptors = () => [...Deno.readDirSync("/proc/self/fd")].length;

Deno.test("silent and incomplete handshakes leave no file descriptor open, also those that were closed for others", async () => {
  const clock = new FakeClock();
  await using service = await openEndpoint({ clock, caps: { total: 20, perAddress: 20 } });
  const before = descriptors();
  const sockets = Array.from({ length: 30 }, (_, index) => service.tcp(`127.0.0.${2 + index % 5}`));
  const ends = sockets.map(readToEnd);
  for (const socket of sockets) socket.write(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01));
  let ended = 0;
  for (const end of ends) end.then(() => ended++);
  await clock.until(() => service.open() === 20 && ended === 10);
  await clock.advance({ seconds: 5 });
  await Promise.all(ends);
  await clock.until(() => service.open() === 0 && descriptors() <= before + 2);
});

Deno.test("Deno keeps the socket of a TLS connection that is closed in its handshake", async () => {
  // When this fails, the loopback connection of tls_termination.ts is no longer needed.
  const { certificatePem: cert, privateKeyPem: key } = await (await TestCa.create()).issue("a");
  const listener = Deno.listenTls({ hostname: "127.0.0.1", port: 0, cert, key });
  const client = await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port });
  const connection = await listener.accept();
  const handshake = connection.handshake();
  connection.close();
  await assert.rejects(handshake);
  listener.close();
  // A socket that is closed reads nothing; this one answers with an alert (RFC 8446, 5.1: 21).
  await client.write(new TextEncoder().encode("not TLS"));
  const answer = new Uint8Array(1);
  assert.equal(await client.read(answer), 1);
  assert.equal(answer[0], 21);
  client.close();
});

Deno.test("an attestation that takes too long is answered before the connection ends", async () => {
  const clock = new FakeClock();
  const retryAfter = Temporal.Duration.from({ seconds: 5 });
  const started = Promise.withResolvers<void>();
  await using service = await openEndpoint({
    clock,
    attest: (_, signal) => {
      started.resolve();
      return new Promise((resolve) =>
        signal.addEventListener(
          "abort",
          () => resolve({ kind: "unavailable", reason: signal.reason.message, retryAfter }),
        )
      );
    },
  });
  const answer = service.send(requestOf(body));
  await started.promise;
  await clock.advance({ milliseconds: 4_600 });
  const { status, body: { error } } = (await answer)!;
  const reason = "the attestation did not finish within 4.5 s of connecting";
  assert.deepEqual([status, error], [503, reason]);
});

Deno.test("the connections of one address are limited before the handshake", async () => {
  await using service = await openEndpoint({ caps: { total: 8, perAddress: 3 } });
  const held = [service.tcp(), service.tcp(), service.tcp()];
  const ends = held.map(readToEnd);
  while (service.open() < 3) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(await readToEnd(service.tcp()), "");
  for (const socket of held) socket.destroy();
  await Promise.all(ends);
  while (service.open() > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await service.send(requestOf(body)))?.status, 403);
});

Deno.test("addresses that keep all connections open do not exclude one that sends its request", async () => {
  await using service = await openEndpoint({ caps: { total: 8, perAddress: 4 } });
  const held = Array.from({ length: 8 }, (_, index) => service.tcp(`127.0.0.${2 + index % 2}`));
  const ends = held.map(readToEnd);
  while (service.open() < 8) await new Promise((resolve) => setImmediate(resolve));
  assert.equal((await service.send(requestOf(body)))?.status, 403);
  for (const socket of held) socket.destroy();
  await Promise.all(ends);
});

Deno.test("an address that connects too often is rejected before its handshake", async () => {
  const clock = new FakeClock();
  await using service = await openEndpoint({ clock, connections: { perSecond: 1, burst: 2 } });
  assert.equal((await service.send(requestOf(body)))?.status, 403);
  assert.equal((await service.send(requestOf(body)))?.status, 403);
  assert.equal(await readToEnd(service.tcp()), "");
  await clock.advance({ seconds: 1 });
  assert.equal((await service.send(requestOf(body)))?.status, 403);
});

Deno.test("a connection that is being attested is not closed for others", async () => {
  const finish = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  await using service = await openEndpoint({
    caps: { total: 2, perAddress: 2 },
    attest: async () => {
      started.resolve();
      await finish.promise;
      return { kind: "denied", reason: "done" };
    },
  });
  const answer = service.send(requestOf(body));
  await started.promise;
  const held = Array.from({ length: 10 }, (_, index) => service.tcp(`127.0.0.${2 + index}`));
  const ends = held.map(readToEnd);
  let ended = 0;
  for (const end of ends) end.then(() => ended++);
  while (ended < 8) await new Promise((resolve) => setImmediate(resolve));
  finish.resolve();
  assert.equal((await answer)?.status, 403);
  for (const socket of held) socket.destroy();
  await Promise.all(ends);
});

Deno.test("too many attestations at once are answered with the time after which to retry", async () => {
  const finish = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  await using service = await openEndpoint({
    atOnce: { total: 1, perAddress: 4 },
    attest: async () => {
      started.resolve();
      await finish.promise;
      return { kind: "denied", reason: "done" };
    },
  });
  const first = service.send(requestOf(body));
  await started.promise;
  const second = await service.send(requestOf(body));
  assert.deepEqual([second?.status, second?.fields.get("retry-after")], [503, "2"]);
  finish.resolve();
  assert.equal((await first)?.status, 403);
});

Deno.test("an address that sends too many requests is answered with 429 until it has waited", async () => {
  const clock = new FakeClock();
  await using service = await openEndpoint({ clock, requests: { perSecond: 1, burst: 2 } });
  const statuses = [];
  for (let index = 0; index < 3; index++) {
    statuses.push((await service.send(requestOf(body)))?.status);
  }
  assert.deepEqual(statuses, [403, 403, 429]);
  await clock.advance({ seconds: 1 });
  assert.equal((await service.send(requestOf(body)))?.status, 403);
});

Deno.test("HTTP/2 is not offered", async () => {
  await using service = await openEndpoint();
  const socket = connect({
    host: "127.0.0.1",
    port: service.endpoint.port,
    servername: serverName,
    ca: service.ca.certificatePem,
    ALPNProtocols: ["h2"],
  });
  socket.on("error", silent);
  await assert.rejects(secured(socket));
  const both = connect({
    host: "127.0.0.1",
    port: service.endpoint.port,
    servername: serverName,
    ca: service.ca.certificatePem,
    ALPNProtocols: ["h2", "http/1.1"],
  });
  await secured(both);
  assert.equal(both.alpnProtocol, "http/1.1");
  both.destroy();
});

Deno.test("the serving certificate is replaced under load, and no call fails", async () => {
  await using service = await openEndpoint();
  const serials = new Set<string>();
  let [answered, refused] = [0, 0];
  let isOver = false;
  const call = async () => {
    while (!isOver) {
      const socket = service.tls();
      const answer = readAnswer(socket);
      try {
        await secured(socket);
        serials.add(socket.getPeerCertificate().serialNumber);
        socket.write(requestOf(body));
        if ((await answer)?.status === 403) answered++;
        else refused++;
      } catch {
        refused++;
      }
    }
  };
  const callers = Array.from({ length: 8 }, call);
  const { port } = service.endpoint;
  for (let rotation = 1; rotation <= 10; rotation++) {
    await service.rotate();
    // Of these the first ones have begun before.
    const before = answered;
    while (answered < before + 20) await new Promise((resolve) => setImmediate(resolve));
  }
  isOver = true;
  await Promise.all(callers);
  assert.equal(service.endpoint.port, port);
  assert.ok(serials.size >= 10, `${serials.size}`);
  assert.equal(refused, 0, `${refused} of ${answered + refused} were refused`);
});

Deno.test("two rotations at once leave the newest certificate in use", async () => {
  await using service = await openEndpoint();
  await Promise.all([service.rotate(), service.rotate(), service.rotate()]);
  assert.equal((await service.send(requestOf(body)))?.status, 403);
});

/** A listener whose accept fails for as long as a test wants. */
class FaultyListener implements TcpListener {
  readonly #listener: TcpListener;
  readonly #state: { fails: boolean; attempts: number };

  constructor(listener: TcpListener, state: { fails: boolean; attempts: number }) {
    this.#listener = listener;
    this.#state = state;
  }

  get addr() {
    return this.#listener.addr;
  }

  accept(): Promise<Deno.TcpConn> {
    this.#state.attempts++;
    if (this.#state.fails) return Promise.reject(new Error("Too many open files (os error 24)"));
    return this.#listener.accept();
  }

  close(): void {
    this.#listener.close();
  }
}

Deno.test("without file descriptors the endpoint waits 100 ms between attempts, and then serves", async () => {
  const clock = new FakeClock();
  const state = { fails: true, attempts: 0 };
  await using service = await openEndpoint({
    clock,
    listen: (address) => new FaultyListener(Deno.listen(address), state),
  });
  await clock.until(() => clock.timers > 0);
  await clock.advance({ milliseconds: 950 });
  assert.ok(state.attempts >= 9 && state.attempts <= 11, `${state.attempts}`);
  state.fails = false;
  const answer = service.send(requestOf(body));
  await clock.advance({ milliseconds: 100 });
  assert.equal((await answer)?.status, 403);
});

Deno.test("an address that is not available is named", async () => {
  await using service = await openEndpoint();
  const { port } = service.endpoint;
  const listen = ({ hostname }: { hostname: string }) => Deno.listen({ hostname, port });
  await assert.rejects(openEndpoint({ listen }), /cannot listen on 127\.0\.0\.1:0: /);
});

Deno.test("a stop answers the request that is complete and closes the other connections", async () => {
  const finish = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const service = await openEndpoint({
    attest: async () => {
      started.resolve();
      await finish.promise;
      return { kind: "denied", reason: "done" };
    },
  });
  const answer = service.send(requestOf(body));
  const idle = service.tls();
  const idleEnd = readToEnd(idle);
  await secured(idle);
  await started.promise;
  const stopped = service[Symbol.asyncDispose]();
  await idleEnd;
  finish.resolve();
  assert.equal((await answer)?.status, 403);
  await stopped;
  const late = service.tcp();
  assert.equal(await readToEnd(late), "");
});

Deno.test("1,000 invalid tokens do not exclude a driver with a valid one", async () => {
  await using api = await openAttestor();
  await using service = await openEndpoint({
    caps: { total: 256, perAddress: 256 },
    attest: (request, signal) => api.attestor.attest(request, signal),
  });
  const token = api.server.tokens.make();
  const made = api.bodyOf(token.replace(/.{8}$/, "AAAAAAAA"));
  let left = 1_000;
  const flood = Array.from({ length: 32 }, async () => {
    while (left-- > 0) assert.equal((await service.send(requestOf(made)))?.status, 401);
  });
  for (let honest = 0; honest < 5; honest++) {
    const answer = await service.send(requestOf(api.bodyOf(api.server.tokens.make())));
    assert.equal(answer?.status, 200, `${answer?.text}`);
  }
  await Promise.all(flood);
  assert.equal(api.server.count("create tokenreviews"), 5);
});
