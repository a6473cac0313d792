import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { FakeClock } from "../../../scripts/support/fake_clock.ts";
import { FrameLimits } from "../../../src/shared/grpc/frame_limits.ts";
import { closed, gatedServer } from "../../support/gated_server.ts";
import {
  frame,
  frameFlag,
  frameType,
  headerBlock,
  preface,
  repeat,
  requestHeaders,
} from "../../support/http2_frames.ts";

const path = "/certservice.v1.CertificateService/GetCertificateInfo";
const settings = frame(frameType.settings, 0, 0);
const acknowledgement = frame(frameType.settings, frameFlag.ack, 0);
const ping = frame(frameType.ping, 0, 0, Buffer.alloc(8));
const reset = frame(frameType.resetStream, 0, 1, Buffer.alloc(4));
const request = (stream = 1) =>
  frame(frameType.headers, frameFlag.endHeaders, stream, requestHeaders(path));
const data = (length: number, flags = 0) => frame(frameType.data, flags, 1, Buffer.alloc(length));
const windowUpdate = frame(8, 0, 0, Buffer.of(0, 0, 0, 1));
/** Of a size that HTTP/2 allows, and that says little. */
const longHeaders = frame(frameType.headers, frameFlag.endHeaders, 1, Buffer.alloc(16_000));

function limits() {
  const clock = new FakeClock();
  const limits = new FrameLimits(clock, "client");
  assert.equal(limits.observe(Buffer.concat([preface, settings, acknowledgement])), undefined);
  return { clock, limits };
}

const floods: Record<string, { bytes: Uint8Array; tooMuch: string }> = {
  "PING": { bytes: repeat(ping, 1_000), tooMuch: "control frames" },
  "SETTINGS": { bytes: repeat(settings, 1_000), tooMuch: "control frames" },
  "RST_STREAM": { bytes: repeat(reset, 1_000), tooMuch: "control frames" },
  "empty DATA": { bytes: repeat(data(0), 1_000), tooMuch: "control frames" },
  "unknown frames": { bytes: repeat(frame(200, 0, 0), 1_000), tooMuch: "control frames" },
  "CONTINUATION": {
    bytes: repeat(frame(frameType.continuation, 0, 1), 1_000),
    tooMuch: "control frames",
  },
  "long header blocks": { bytes: repeat(longHeaders, 140), tooMuch: "bytes of headers" },
};

for (const [what, { bytes, tooMuch }] of Object.entries(floods)) {
  Deno.test(`a flood of ${what} is too much, and the same in more time is not`, async () => {
    const { limits: sudden } = limits();
    assert.equal(sudden.observe(bytes), tooMuch);
    const { clock, limits: slow } = limits();
    for (let at = 0; at < bytes.length; at += Math.ceil(bytes.length / 10)) {
      await clock.advance({ seconds: 1 });
      const part = bytes.subarray(at, at + Math.ceil(bytes.length / 10));
      assert.equal(slow.observe(part), undefined);
    }
  });
}

Deno.test("requests, their data and window updates are not control frames", () => {
  const { limits: counted } = limits();
  const call = Buffer.concat([request(), data(1_000, frameFlag.endStream), windowUpdate]);
  assert.equal(counted.observe(repeat(call, 10_000)), undefined);
  assert.equal(counted.observe(repeat(data(0, frameFlag.endStream), 5_000)), undefined);
});

Deno.test("frames are counted alike wherever the bytes are cut", () => {
  const frames = Buffer.concat([ping, request(), data(300), ping, longHeaders, settings]);
  for (let size = 1; size < 50; size++) {
    const { limits: cut } = limits();
    const before = cut.frames;
    for (let at = 0; at < frames.length; at += size) cut.observe(frames.subarray(at, at + size));
    assert.equal(cut.frames - before, 6);
  }
});

Deno.test("before it has acknowledged the settings a client may send 128 requests", () => {
  const early = new FrameLimits(new FakeClock(), "client");
  assert.equal(early.observe(Buffer.concat([preface, repeat(request(), 128)])), undefined);
  assert.match(early.observe(request()) ?? "", /before it acknowledged/);
  const { limits: late } = limits();
  assert.equal(late.observe(repeat(request(), 1_000)), undefined);
});

/** A server's frame of headers, which ends the stream or not. */
const answerHeaders = (stream: number, flags = 0) =>
  frame(frameType.headers, frameFlag.endHeaders | flags, stream, headerBlock([[":status", "103"]]));

Deno.test("a server may send 8 frames of headers on one stream, and has no preface", () => {
  const counted = new FrameLimits(new FakeClock(), "server");
  assert.equal(counted.observe(Buffer.concat([settings, acknowledgement])), undefined);
  assert.equal(counted.observe(repeat(answerHeaders(1), 8)), undefined);
  assert.equal(counted.frames, 10);
  assert.equal(counted.observe(answerHeaders(0x7fff_ffff)), undefined);
  assert.equal(counted.observe(answerHeaders(1)), "HEADERS frames on one stream");
});

Deno.test("a server may answer any number of calls", async () => {
  const clock = new FakeClock();
  const counted = new FrameLimits(clock, "server");
  const endings = (stream: number) => [
    [answerHeaders(stream), data(100), answerHeaders(stream, frameFlag.endStream)],
    [answerHeaders(stream), frame(frameType.data, frameFlag.endStream, stream)],
    [answerHeaders(stream), frame(frameType.resetStream, 0, stream, Buffer.alloc(4))],
    // The client has cancelled the call.
    [answerHeaders(stream)],
  ];
  for (let call = 0; call < 20_000; call++) {
    if (call % 100 === 0) await clock.advance({ seconds: 1 });
    const frames = endings(1 + 2 * call)[call % 4]!;
    assert.equal(counted.observe(Buffer.concat(frames)), undefined);
  }
});

/** One pair of 4,000 bytes, and a byte for each repetition of it (RFC 7541, section 6.1). */
function bomb(pairs: number): Buffer {
  const value = Buffer.alloc(4_000, "a");
  const length = Buffer.of(127, (4_000 - 127) & 127 | 128, (4_000 - 127) >> 7);
  const indexed = Buffer.concat([Buffer.of(0x40, 1), Buffer.from("x"), length, value]);
  return Buffer.concat([requestHeaders(path), indexed, Buffer.alloc(pairs, 0x80 | 62)]);
}

const attacks: Record<string, () => Uint8Array> = {
  "PING": () => repeat(ping, 5_000),
  "SETTINGS": () => repeat(frame(frameType.settings, 0, 0, Buffer.of(0, 3, 0, 0, 0, 9)), 5_000),
  "CONTINUATION": () =>
    Buffer.concat([
      frame(frameType.headers, 0, 1, requestHeaders(path)),
      repeat(frame(frameType.continuation, 0, 1, headerBlock([["a", "b"]])), 5_000),
    ]),
  "begun and cancelled calls": () =>
    Buffer.concat(Array.from({ length: 5_000 }, (_, n) => {
      const stream = 1 + 2 * n;
      return Buffer.concat([
        request(stream),
        frame(frameType.resetStream, 0, stream, Buffer.alloc(4)),
      ]);
    })),
  "header blocks that expand a thousandfold": () =>
    Buffer.concat(Array.from({ length: 300 }, (_, n) => {
      const block = n === 0 ? bomb(12_000) : Buffer.alloc(16_000, 0x80 | 62);
      return frame(frameType.headers, frameFlag.endHeaders | 1, 1 + 2 * n, block);
    })),
};

for (const [what, attack] of Object.entries(attacks)) {
  Deno.test(`a client that sends a flood of ${what} is disconnected, and others are served`, async () => {
    await using served = await gatedServer();
    const socket = await served.openSession();
    const before = Deno.memoryUsage().rss;
    socket.write(attack());
    await closed(socket);
    await served.call();
    const grown = (Deno.memoryUsage().rss - before) / 1024 / 1024;
    assert.ok(grown < 100, `${grown} MiB more`);
  });
}
