import assert from "node:assert/strict";
import fc from "fast-check";
import {
  maxRequestBytes,
  parseRequestHead,
} from "../../../src/service/attestation/http_request.ts";
import { runs } from "../../support/runs.ts";

const bytesOf = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));
const parse = (text: string) => parseRequestHead(bytesOf(text));

const line = "POST /v1/node-certificate HTTP/1.1\r\n";
const host = "Host: cert-service\r\n";

Deno.test("a request's head is its target, its fields and where its body lies", () => {
  const text = `${line}${host}Content-Type: application/json\r\nContent-Length:  4 \r\n\r\nbody`;
  const parsed = parse(text);
  assert.ok(parsed.kind === "head");
  const { target, fields, bodyStart, bodyEnd } = parsed.head;
  assert.equal(target, "/v1/node-certificate");
  assert.equal(fields.get("content-type"), "application/json");
  assert.equal(text.slice(bodyStart, bodyEnd), "body");
});

Deno.test("each beginning of a good request is incomplete", () => {
  const head = `${line}${host}Content-Length: 4\r\n\r\n`;
  for (let length = 0; length < head.length; length++) {
    assert.deepEqual(parse(head.slice(0, length)), { kind: "incomplete" }, `${length}`);
  }
  assert.equal(parse(head).kind, "head");
});

const length = "Content-Length: 4\r\n";
const rejected: [string, string, number][] = [
  ["garbage", "\x16\x03\x01\x02", 400],
  ["HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400],
  ["line feeds alone", "POST / HTTP/1.1\nHost: a\n", 400],
  ["lower case", "post / HTTP/1.1\r\n", 400],
  ["a method without end", "POSTPOSTPOSTPOSTPOST", 400],
  ["GET", `GET / HTTP/1.1\r\n${host}\r\n`, 400],
  ["HTTP/1.0", `POST / HTTP/1.0\r\n${host}${length}\r\n`, 400],
  ["an absolute target", `POST http://a/ HTTP/1.1\r\n${host}${length}\r\n`, 400],
  ["two spaces", `POST  / HTTP/1.1\r\n${host}${length}\r\n`, 400],
  ["no host", `${line}${length}\r\n`, 400],
  ["two hosts", `${line}${host}${host}${length}\r\n`, 400],
  ["a space before the colon", `${line}${host}Content-Length : 4\r\n\r\n`, 400],
  ["a folded field", `${line}${host}X: a\r\n b\r\n${length}\r\n`, 400],
  ["a bare line feed in a field", `${line}${host}X: a\nContent-Length: 5\r\n${length}\r\n`, 400],
  ["a bare carriage return in a field", `${line}${host}X: a\rb\r\n${length}\r\n`, 400],
  ["a NUL in a field", `${line}${host}X: \0\r\n${length}\r\n`, 400],
  ["a field without a name", `${line}${host}: a\r\n${length}\r\n`, 400],
  ["two Content-Length", `${line}${host}${length}${length}\r\n`, 400],
  ["two Content-Length of two cases", `${line}${host}${length}content-length: 5\r\n\r\n`, 400],
  ["a list as Content-Length", `${line}${host}Content-Length: 4, 4\r\n\r\n`, 400],
  ["a sign in Content-Length", `${line}${host}Content-Length: +4\r\n\r\n`, 400],
  ["a hexadecimal Content-Length", `${line}${host}Content-Length: 0x4\r\n\r\n`, 400],
  ["an empty Content-Length", `${line}${host}Content-Length:\r\n\r\n`, 400],
  [
    "Transfer-Encoding and a length",
    `${line}${host}${length}Transfer-Encoding: chunked\r\n\r\n`,
    400,
  ],
  ["Transfer-Encoding", `${line}${host}Transfer-Encoding: chunked\r\n\r\n`, 411],
  ["Transfer-Encoding identity", `${line}${host}Transfer-Encoding: identity\r\n\r\n`, 411],
  ["no length", `${line}${host}\r\n`, 411],
  [
    "33 fields",
    `${line}${host}${Array.from({ length: 33 }, (_, n) => `A${n}: b\r\n`).join("")}\r\n`,
    400,
  ],
  ["a long body", `${line}${host}Content-Length: 16384\r\n\r\n`, 413],
  ["an absurd body", `${line}${host}Content-Length: 99999999999999999999\r\n\r\n`, 413],
  ["a long head", `${line}${host}X: ${"a".repeat(maxRequestBytes)}`, 413],
];

for (const [what, text, status] of rejected) {
  Deno.test(`a request with ${what} is answered with ${status}`, () => {
    const parsed = parse(text);
    assert.ok(parsed.kind === "rejected", JSON.stringify(parsed));
    assert.equal(parsed.status, status);
  });
}

Deno.test("head and body have 16 KiB together, and not a byte more", () => {
  const head = (length: number) => `${line}${host}Content-Length: ${length}\r\n\r\n`;
  const rest = maxRequestBytes - head(16_000).length;
  const fits = parse(head(rest));
  assert.ok(fits.kind === "head");
  assert.equal(fits.head.bodyEnd, maxRequestBytes);
  const over = parse(head(rest + 1));
  assert.ok(over.kind === "rejected" && over.status === 413);
});

Deno.test("whatever the bytes, there is a result, and a body lies within the limit", () => {
  const pieces = fc.constantFrom(
    line,
    host,
    length,
    "\r\n",
    "\n",
    ":",
    " ",
    "Transfer-Encoding",
    "\0",
    "POST ",
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string())), (parts) => {
      const parsed = parse(parts.join(""));
      if (parsed.kind !== "head") return;
      assert.ok(parsed.head.bodyStart <= parsed.head.bodyEnd);
      assert.ok(parsed.head.bodyEnd <= maxRequestBytes);
    }),
    runs(300),
  );
});
