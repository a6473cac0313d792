import assert from "node:assert/strict";
import fc from "fast-check";
import {
  HttpResponseReader,
  type ResponseProgress,
} from "../../../src/driver/service_client/http_response.ts";

const bytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

/** The outcome of reading a text in pieces, with the end of the connection after it. */
function read(text: string, size = text.length, isClosed = true): ResponseProgress {
  const reader = new HttpResponseReader();
  for (let start = 0; start < text.length; start += size) {
    const progress = reader.push(bytes(text.slice(start, start + size)));
    if (progress.kind !== "incomplete") return progress;
  }
  return isClosed ? reader.end() : { kind: "incomplete" };
}

const complete = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nRetry-After:  7 \r\n\r\n{}";

Deno.test("a response is read in whatever pieces it arrives", () => {
  for (let size = 1; size <= complete.length; size++) {
    const progress = read(complete, size, false);
    assert.ok(progress.kind === "response", JSON.stringify(progress));
    assert.equal(progress.response.status, 200);
    assert.equal(progress.response.headers.get("retry-after"), "7");
    assert.deepEqual(progress.response.body.length, 2);
  }
});

Deno.test("a response without a length ends with its connection", () => {
  const text = "HTTP/1.1 503 \r\n\r\n{}";
  assert.equal(read(text, 5, false).kind, "incomplete");
  assert.ok(read(text).kind === "response");
});

const malformed: Record<string, string> = {
  "an interim response": "HTTP/1.1 100 Continue\r\n\r\n",
  "another version": "HTTP/1.0 200 OK\r\n\r\n",
  "HTTP/2's preface": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
  "no status line": "hello\r\n\r\n",
  "a status of two digits": "HTTP/1.1 20 OK\r\n\r\n",
  "a control character": "HTTP/1.1 200 O\u0000K\r\n\r\n",
  "bare line feeds": "HTTP/1.1 200 OK\nContent-Length: 2\r\n\r\n{}",
  "a folded line": "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
  "a blank before the colon": "HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\n{}",
  "a transfer coding": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
  "two lengths": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
  "two lengths in one line": "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\n{}",
  "a negative length": "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
  "a length in hexadecimal": "HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\n{}",
  "a body that is too long": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{}",
  "a body that ends early": "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}",
  "a head that ends early": "HTTP/1.1 200 OK\r\nContent-Len",
  "nothing": "",
  "more than 64 KiB of head": `HTTP/1.1 200 OK\r\nA: ${"b".repeat(65_536)}`,
  "more than 64 KiB of body": `HTTP/1.1 200 OK\r\n\r\n${"b".repeat(65_536)}`,
  "a length over 64 KiB": `HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n${"b".repeat(65_536)}`,
};
for (const [what, text] of Object.entries(malformed)) {
  Deno.test(`a response with ${what} is malformed`, () => {
    assert.equal(read(text).kind, "malformed");
    // In pieces, what follows the body arrives after the response is complete.
    if (text.length < 1_000 && what !== "a body that is too long") {
      assert.equal(read(text, 1).kind, "malformed");
    }
  });
}

Deno.test("whatever arrives, the reader ends with a response or a sentence", () => {
  const mutated = fc.tuple(fc.nat(complete.length), fc.string({ unit: "binary", maxLength: 8 }))
    .map(([at, text]) => complete.slice(0, at) + text + complete.slice(at + text.length));
  fc.assert(fc.property(mutated, fc.integer({ min: 1, max: 70 }), (text, size) => {
    assert.notEqual(read(text, size).kind, "incomplete");
  }));
});
