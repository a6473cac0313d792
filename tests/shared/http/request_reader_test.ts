import assert from "node:assert/strict";
import fc from "fast-check";
import { parseRequestHead, type RequestRules } from "../../../src/shared/http/request_reader.ts";

const post: RequestRules = { maxBytes: 1_024, body: "required" };
const get: RequestRules = { maxBytes: 1_024, body: "none" };
const encoder = new TextEncoder();
const parse = (text: string, rules = post) => parseRequestHead(encoder.encode(text), rules);

Deno.test("a complete head gives method, target, fields, and where the body is", () => {
  const text =
    "POST /v1/a?b HTTP/1.1\r\nHost: a\r\nContent-Type:  x/y \r\nContent-Length: 2\r\n\r\nhi";
  const result = parse(text);
  assert(result.kind === "head");
  const { method, target, fields, bodyStart, bodyEnd } = result.head;
  assert.deepEqual([method, target], ["POST", "/v1/a?b"]);
  assert.deepEqual([...fields], [["host", "a"], ["content-type", "x/y"], ["content-length", "2"]]);
  assert.equal(text.slice(bodyStart, bodyEnd), "hi");
});

Deno.test("every beginning of a request is incomplete, and never rejected", () => {
  const text = "GET /livez HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n";
  for (let length = 0; length < text.length; length++) {
    assert.equal(parse(text.slice(0, length), get).kind, "incomplete", text.slice(0, length));
  }
  assert.equal(parse(text, get).kind, "head");
});

Deno.test("whatever could be read in two ways is rejected", () => {
  const head = (lines: string) => `POST /a HTTP/1.1\r\nHost: a\r\n${lines}\r\n\r\n`;
  const cases: [string, number][] = [
    [head("Content-Length: 1\r\nContent-Length: 1"), 400],
    [head("Content-Length: 1, 1"), 400],
    [head("Content-Length: +1"), 400],
    [head("Content-Length: 0x1"), 400],
    [head("Content-Length: 1\r\nTransfer-Encoding: chunked"), 400],
    [head("Transfer-Encoding: chunked"), 411],
    [head("Accept: */*"), 411],
    [head("Content-Length : 1"), 400],
    [head("Content-Length: 1\r\n Folded: 2"), 400],
    [head("Content-Length: 1\nX: 2"), 400],
    [head("Content-Length: 1\r\nX: a\0b"), 400],
    [head("Content-Length: 1\r\nX: \u00e9"), 400],
    [head("Content-Length: 99999"), 413],
    [head("Content-Length: 999999999999999"), 413],
    [`POST /a HTTP/1.1\r\nContent-Length: 1\r\n\r\n`, 400],
    ["POST /a HTTP/1.0\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400],
    ["POST a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400],
    ["post /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400],
    ["POST /a b HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400],
    ["\r\nPOST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n", 400],
    [`POST /a HTTP/1.1\r\n${"X: y\r\n".repeat(33)}`.padEnd(1_024, "z"), 413],
    [head(Array.from({ length: 40 }, (_, at) => `X${at}: y`).join("\r\n")), 400],
  ];
  for (const [text, status] of cases) {
    const result = parse(text);
    assert(result.kind === "rejected", JSON.stringify(text));
    assert.equal(result.status, status, JSON.stringify(text));
  }
});

Deno.test("a request without a body may state that its length is 0, and nothing else", () => {
  const head = (length: string) => `GET / HTTP/1.1\r\nHost: a\r\nContent-Length: ${length}\r\n\r\n`;
  assert.equal(parse(head("0"), get).kind, "head");
  const result = parse(head("1"), get);
  assert(result.kind === "rejected" && result.status === 413);
});

Deno.test("no bytes make the reader throw, and reasons quote nothing of them", () => {
  const pieces = fc.constantFrom("GET ", "/a", " HTTP/1.1", "\r\n", "Host: a", ":", "\0", "secret");
  const texts = fc.oneof(fc.array(pieces).map((parts) => parts.join("")), fc.string());
  fc.assert(fc.property(texts, (text) => {
    const result = parse(text, get);
    if (result.kind === "rejected") assert(!result.reason.includes("secret"));
  }));
});
