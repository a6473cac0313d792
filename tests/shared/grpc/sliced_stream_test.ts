import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import { setImmediate as turn, setTimeout as pause } from "node:timers/promises";
import { connect as connectTls, Server as TlsServer } from "node:tls";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { TestCa } from "../../../scripts/support/test_ca.ts";
import { FrameLimits } from "../../../src/shared/grpc/frame_limits.ts";
import { ReadScheduler, SlicedStream } from "../../../src/shared/grpc/sliced_stream.ts";

const kib = 1024;

/** A limit that nothing reaches: what tests send is no HTTP/2. */
function noLimits(): FrameLimits {
  const limits = new FrameLimits(new FakeClock(), "client");
  // One frame that is longer than anything that a test sends, behind the preface.
  limits.observe(Buffer.concat([Buffer.alloc(24), Buffer.of(0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1)]));
  return limits;
}

/** Connections of memory, and what was read of them in each turn. */
function memoryStreams(count: number) {
  const readScheduler = new ReadScheduler();
  const turns: string[][] = [[]];
  const streams = Array.from({ length: count }, (_, index) => {
    const source = new PassThrough({ highWaterMark: 1024 * kib });
    let isHeld = false;
    const raw = {
      _handle: {
        readStop: () => isHeld = true,
        readStart: () => isHeld = false,
      },
      destroy() {},
    };
    const stream = new SlicedStream({
      raw: raw as unknown as Socket,
      source: source as unknown as Socket,
      scheduler: readScheduler,
      limits: noLimits(),
      onFlood: () => assert.fail("a flood"),
    });
    stream.on("data", (slice: Buffer) => turns.at(-1)?.push(`${index}:${slice.at(0)}`));
    return {
      stream,
      source,
      bring: (mark: number, bytes = 16 * kib) => source.emit("data", Buffer.alloc(bytes, mark)),
      get isHeld() {
        return isHeld;
      },
    };
  });
  const pass = async (times: number) => {
    for (let n = 0; n < times; n++) {
      await turn();
      turns.push([]);
    }
  };
  return { streams, turns, pass };
}

Deno.test("what many connections bring at once is read in parts, all of it, the first first", async () => {
  const { streams, turns, pass } = memoryStreams(100);
  await pass(2);
  for (const { bring } of streams) bring(1);
  await pass(60);
  const most = Math.max(...turns.map((read) => read.length));
  // Four in each; a turn as it is seen here may hold the end of one and the beginning of the next.
  assert.ok(most <= 8, `${most} in one turn`);
  assert.deepEqual(turns.flat(), streams.map((_, index) => `${index}:1`));
  assert.ok(streams.every(({ isHeld }) => !isHeld));
});

Deno.test("what one connection brings keeps its order while others wait", async () => {
  const { streams, turns, pass } = memoryStreams(40);
  await pass(2);
  for (const mark of [1, 2, 3]) {
    for (const { bring } of streams) bring(mark);
    await pass(1);
  }
  await pass(80);
  const read = turns.flat();
  for (const [index] of streams.entries()) {
    const own = read.filter((text) => text.startsWith(`${index}:`));
    assert.deepEqual(own, [1, 2, 3].map((mark) => `${index}:${mark}`));
  }
});

Deno.test("a connection that always has more keeps no other waiting, and is held", async () => {
  const { streams: [greedy, ...others], turns, pass } = memoryStreams(10);
  await pass(2);
  greedy!.bring(9, 16 * 1024 * kib);
  for (const { bring } of others) bring(1);
  await pass(20);
  const read = turns.flat();
  assert.equal(read.filter((text) => text.endsWith(":1")).length, others.length);
  assert.ok(read.length < 200);
  assert.deepEqual([greedy!.isHeld, others[0]!.isHeld], [true, false]);
});

Deno.test("a connection that closes while it waits is forgotten, and harms no other", async () => {
  const { streams, turns, pass } = memoryStreams(40);
  await pass(2);
  for (const { bring } of streams) bring(1);
  streams[39]!.source.destroy();
  await pass(40);
  const read = turns.flat();
  assert.equal(streams[39]!.stream.destroyed, true);
  assert.ok(!read.includes("39:1"));
  assert.ok(read.includes("38:1"));
});

Deno.test("a reader that throws does not stop the reads of the other connections", async () => {
  const { streams: [broken, other], turns, pass } = memoryStreams(2);
  await pass(2);
  broken!.stream.once("data", () => {
    throw new Error("a fault of HTTP/2");
  });
  assert.throws(() => broken!.bring(1), /a fault of HTTP\/2/);
  other!.bring(2);
  await pass(5);
  assert.ok(turns.flat().includes("1:2"));
});

Deno.test("connections that bring little are read at once", async () => {
  const { streams, turns, pass } = memoryStreams(3);
  await pass(2);
  for (const mark of [1, 2]) {
    for (const { bring } of streams) bring(mark, 10);
    await pass(2);
  }
  assert.deepEqual(turns.filter((read) => read.length > 0), [
    ["0:1", "1:1", "2:1"],
    ["0:2", "1:2", "2:2"],
  ]);
});

Deno.test("a peer that does not read its answers is not read until it does", async () => {
  const { streams: [one], turns, pass } = memoryStreams(1);
  await pass(2);
  const { stream, source, bring } = one!;
  source.pause();
  for (let n = 0; n < 40; n++) stream.write(Buffer.alloc(64 * kib));
  await pass(2);
  bring(1);
  await pass(5);
  assert.deepEqual(turns.flat(), []);
  source.removeAllListeners("data");
  source.resume();
  await pass(20);
  assert.deepEqual(turns.flat(), ["0:1"]);
});

Deno.test("data that arrives over TLS faster than it is read remains with its sender", async () => {
  const ca = await TestCa.create();
  const { certificatePem: cert, privateKeyPem: key } = await ca.issue("a.test");
  const accepted = Promise.withResolvers<[Socket, Socket]>();
  const tls = new TlsServer({ cert, key });
  const server = createServer((raw) => {
    tls.once("secureConnection", (source) => accepted.resolve([raw, source]));
    tls.emit("connection", raw);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const sender = connectTls({
    host: "127.0.0.1",
    port,
    servername: "a.test",
    ca: ca.certificatePem,
  });
  sender.on("error", () => {});
  const [raw, source] = await accepted.promise;
  let arrived = 0;
  source.on("data", ({ length }: Buffer) => arrived += length);
  const stream = new SlicedStream({
    raw,
    source,
    scheduler: new ReadScheduler(),
    limits: noLimits(),
    onFlood: () => assert.fail("a flood"),
  });
  sender.write(Buffer.alloc(64 * 1024 * kib, 7));
  let waited = 0;
  for (let last = -1; arrived === 0 || last !== arrived; waited++) {
    last = arrived;
    // The sender needs the event loop's I/O, which setImmediate may run ahead of.
    for (let n = 0; n < 20; n++) await pause(1);
  }
  assert.ok(arrived <= 256 * kib, `${arrived} bytes were received, and none was read`);
  let [read, largest] = [0, 0];
  stream.on("data", (slice: Buffer) => {
    read += slice.length;
    largest = Math.max(largest, slice.length);
    assert.equal(slice.at(-1), 7);
  });
  while (read < 64 * 1024 * kib) await turn();
  assert.equal(largest, 16 * kib);
  sender.destroy();
  stream.destroy();
  server.close();
});
