import assert from "node:assert/strict";
import {
  data,
  frameFlag,
  FrameReader,
  frameType,
  goaway,
  headers,
  rstStream,
  settings,
} from "../../scripts/attacks/http2/frames.ts";
import {
  decodeHeaders,
  encodeHeaders,
  indexed,
  integer,
  tableSizeUpdate,
} from "../../scripts/attacks/http2/hpack.ts";
import { clientHello } from "../../scripts/attacks/http2/client_hello.ts";

Deno.test("frames are written in the layout of RFC 9113", () => {
  assert.equal(settings([[0x4, 65_535]]).toHex(), "00000604000000000000040000ffff");
  assert.equal(rstStream(3, 8).toHex(), "00000403000000000300000008");
  assert.equal(goaway(1, 2).toHex(), "0000080700000000000000000100000002");
  assert.equal(data(5, Uint8Array.of(1, 2)).toHex(), "0000020001000000050102");
});

Deno.test("a long header block is continued in further frames, and the last one ends it", () => {
  const frames = new FrameReader().push(headers(1, new Uint8Array(40_000), { endStream: true }));
  assert.deepEqual(frames.map(({ type }) => type), [
    frameType.headers,
    frameType.continuation,
    frameType.continuation,
  ]);
  const endHeaders = frames.map(({ flags }) => (flags & frameFlag.endHeaders) !== 0);
  assert.deepEqual(endHeaders, [false, false, true]);
  assert.equal(frames[0]!.flags & frameFlag.endStream, frameFlag.endStream);
});

Deno.test("frames are read from bytes that arrive in any pieces", () => {
  const bytes = [...settings([[1, 0]]), ...data(1, new Uint8Array(300))];
  const reader = new FrameReader();
  const frames = bytes.flatMap((byte) => reader.push(Uint8Array.of(byte)));
  assert.deepEqual(frames.map(({ type, payload }) => [type, payload.length]), [[4, 6], [0, 300]]);
});

Deno.test("integers are written as in the examples of RFC 7541", () => {
  assert.equal(integer(0, 5, 10).toHex(), "0a");
  assert.equal(integer(0, 5, 1337).toHex(), "1f9a0a");
  assert.equal(integer(0, 8, 42).toHex(), "2a");
});

Deno.test("fields are read back, in each form in which they can be written", () => {
  const pairs = [["grpc-status", "0"], ["grpc-message", ""]] as const;
  for (const form of ["plain", "indexed", "never"] as const) {
    assert.deepEqual([...decodeHeaders(encodeHeaders(pairs, form)) ?? []], pairs);
  }
  assert.deepEqual([...decodeHeaders(tableSizeUpdate(0)) ?? []], []);
  assert.deepEqual([...decodeHeaders(indexed(8)) ?? []], [[":status", "200"]]);
});

Deno.test("Huffman's code is read as in the examples of RFC 7541", () => {
  const value = (hex: string) => {
    const bytes = Uint8Array.fromHex(hex);
    const field = Uint8Array.of(0x00, 1, 0x61, 0x80 | bytes.length, ...bytes);
    return decodeHeaders(field)?.get("a");
  };
  assert.equal(value("f1e3c2e5f23a6ba0ab90f4ff"), "www.example.com");
  assert.equal(value("a8eb10649cbf"), "no-cache");
  assert.equal(value("25a849e95bb8e8b4bf"), "custom-value");
  assert.equal(
    value("d07abe941054d444a8200595040b8166e082a62d1bff"),
    "Mon, 21 Oct 2013 20:13:21 GMT",
  );
});

Deno.test("a block that ends within a field is rejected", () => {
  assert.equal(decodeHeaders(Uint8Array.of(0x00, 5, 0x61)), undefined);
  assert.equal(decodeHeaders(Uint8Array.of(0x7f)), undefined);
});

Deno.test("a ClientHello is one record whose lengths agree", () => {
  for (const version of ["1.3", "1.2", "1.1"] as const) {
    const hello = clientHello(version);
    assert.deepEqual([...hello.subarray(0, 3)], [22, 3, 1]);
    assert.equal(hello[3]! * 256 + hello[4]!, hello.length - 5);
    assert.equal(hello[7]! * 256 + hello[8]!, hello.length - 9);
  }
});
