/** The health endpoint under clients that hold connections, over real sockets. */
import assert from "node:assert/strict";
import { serveHealth } from "../../../src/shared/telemetry/health_endpoint.ts";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";

const address = { hostname: "127.0.0.1", port: 0 };
const well = () => ({ ok: true, detail: "well" });
const encoder = new TextEncoder();

/** Everything that the server sends until it closes; a reset counts as an end. */
async function readAll(connection: Deno.Conn): Promise<string> {
  const decoder = new TextDecoder("latin1");
  let text = "";
  const buffer = new Uint8Array(4096);
  for (;;) {
    const count = await connection.read(buffer).catch(() => null);
    if (count === null) return text;
    text += decoder.decode(buffer.subarray(0, count));
  }
}

async function send(port: number, text: string): Promise<string> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port });
  await connection.write(encoder.encode(text));
  return await readAll(connection);
}

Deno.test("2,000 unfinished requests hold at most 128 connections, and a probe is still served", async () => {
  const clock = new FakeClock();
  await using health = serveHealth(address, { live: well, ready: well }, clock);
  using clients = new DisposableStack();
  let ended = 0;
  const readers: Promise<void>[] = [];
  for (let count = 0; count < 2_000; count++) {
    const client = clients.use(await Deno.connect({ hostname: "127.0.0.1", port: health.port }));
    await client.write(encoder.encode("GET /livez HTTP/1.1\r\nhost: a\r\nx-half: "));
    readers.push(readAll(client).then(() => void ended++));
  }
  const response = await fetch(`http://127.0.0.1:${health.port}/livez`);
  assert.equal(response.status, 200);
  await response.body?.cancel();
  await clock.until(() => ended >= 2_000 - 128);
  assert(health.connections <= 128, `${health.connections} connections`);
  await clock.advance({ seconds: 5 });
  await Promise.all(readers);
  assert.equal(health.connections, 0);
});

Deno.test("a connection that sends nothing is closed after 5 seconds, not before", async () => {
  const clock = new FakeClock();
  await using health = serveHealth(address, { live: well, ready: well }, clock);
  using client = await Deno.connect({ hostname: "127.0.0.1", port: health.port });
  let ended = false;
  const reader = readAll(client).then((text) => {
    ended = true;
    return text;
  });
  await clock.until(() => health.connections === 1);
  await clock.advance({ milliseconds: 4_999 });
  assert.equal(ended, false);
  await clock.advance({ milliseconds: 1 });
  assert.equal(await reader, "");
});

Deno.test("what is not HTTP/1.1 is answered 400, and what is too long 413", async () => {
  const health = serveHealth(address, { live: well, ready: well });
  await using _health = health;
  const cases: [string, RegExp][] = [
    ["GET / HTTP/1.1\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["GET  /livez HTTP/1.1\r\nhost: a\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["GET http://a/livez HTTP/1.1\r\nhost: a\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["GET /livez HTTP/2.0\r\nhost: a\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["\x16\x03\x01\x02\x00\x01\x00", /^HTTP\/1\.1 400 /],
    ["GET //[ HTTP/1.1\r\nhost: [\r\n\r\n", /^HTTP\/1\.1 404 /],
    ["GET /livez HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["GET /livez HTTP/1.1\r\nhost : a\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["GET /livez HTTP/1.1\r\nhost: a\r\n b\r\n\r\n", /^HTTP\/1\.1 400 /],
    ["POST /livez HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", / 411 /],
    ["POST /livez HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello", / 413 /],
    [`GET /${"a".repeat(9_000)} HTTP/1.1\r\nhost: a\r\n\r\n`, / 413 /],
    [`GET /livez HTTP/1.1\r\nhost: a\r\nx: ${"a".repeat(60_000)}\r\n\r\n`, / 413 /],
  ];
  for (const [request, expected] of cases) {
    assert.match(await send(health.port, request), expected, JSON.stringify(request.slice(0, 60)));
  }
});

Deno.test("of pipelined requests the first is answered, and the connection ends", async () => {
  await using health = serveHealth(address, { live: well, ready: well });
  const request = "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n";
  const answer = await send(health.port, request.repeat(20));
  assert.equal(answer.match(/HTTP\/1\.1 200/g)?.length, 1);
  assert.match(answer, /\r\nConnection: close\r\n/);
});

Deno.test("a request that arrives in thousands of pieces is refused", async () => {
  await using health = serveHealth(address, { live: well, ready: well });
  using client = await Deno.connect({ hostname: "127.0.0.1", port: health.port });
  client.setNoDelay();
  const reader = readAll(client);
  await client.write(encoder.encode("GET /livez HTTP/1.1\r\nhost: "));
  let pieces = 0;
  let ended = false;
  reader.finally(() => ended = true);
  while (!ended && pieces < 5_000) {
    pieces++;
    await client.write(encoder.encode("a")).catch(() => ended = true);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.match(await reader, /^HTTP\/1\.1 400 .*more than 64 pieces/s);
});

Deno.test("HEAD is answered as GET, without the body", async () => {
  await using health = serveHealth(address, { live: well, ready: well });
  const answer = await send(health.port, "HEAD /livez HTTP/1.1\r\nhost: a\r\n\r\n");
  assert.match(answer, /^HTTP\/1\.1 200 OK\r\n[^]*Content-Length: 8\r\n/);
  assert(answer.endsWith("\r\n\r\n"));
});

Deno.test("a client that keeps connections alive is served again and again", async () => {
  await using health = serveHealth(address, { live: well, ready: well, metrics: () => "up 1\n" });
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 4 });
  for (let count = 0; count < 50; count++) {
    const response = await fetch(`http://127.0.0.1:${health.port}/metrics`, { client });
    assert.equal(await response.text(), "up 1\n");
  }
});
