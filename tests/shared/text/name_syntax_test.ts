import assert from "node:assert/strict";
import { isIP } from "node:net";
import fc from "fast-check";
import { parseDnsName, parseIpAddress, parseUri } from "../../../src/shared/text/name_syntax.ts";

const label63 = "a".repeat(63);
const name253 = [label63, label63, label63, "a".repeat(61)].join(".");

Deno.test("DNS names in lower case are taken as they are", () => {
  const names = ["a", "web", "web-0.shop.svc.cluster.local", "1a.b", "1.b", label63, name253];
  for (const name of [...names, "xn--bcher-kva.example", "a--b.example"]) {
    assert.equal(parseDnsName(name), name);
  }
});

Deno.test("what is no DNS name is refused", () => {
  const shapes = ["", ".", "a.", ".a", "a..b", "-a", "a-", "a_b", "A", "aB.c", " a", "a ", "a\n"];
  const others = ["*", "*.a", "a.*", "bücher.de", "a\u0000", "\ufffd", "xn--", "xn--a.de", "a/b"];
  const addresses = ["1", "1.2.3.4", "a.1", "0x7f", "a.0x"];
  const long = [label63 + "a", `${name253}a`, "a".repeat(10_000), "a.".repeat(5_000) + "a"];
  for (const name of [...shapes, ...others, ...addresses, ...long]) {
    assert.equal(parseDnsName(name), undefined, JSON.stringify(name.slice(0, 80)));
  }
});

Deno.test("a wildcard replaces the whole first label, and only where it is permitted", () => {
  assert.equal(parseDnsName("*.a.example", { wildcard: true }), "*.a.example");
  assert.equal(parseDnsName("*.a.example", { wildcard: false }), undefined);
  for (const name of ["*", "*.", "a*.b", "*a.b", "a.*.b", "*.*.b", "**.b"]) {
    assert.equal(parseDnsName(name, { wildcard: true }), undefined, name);
  }
});

for (
  const [text, expected] of [
    ["10.0.0.1", "10.0.0.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["2001:0DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::FFFF:a00:1", "10.0.0.1"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ] as const
) {
  Deno.test(`the IP address ${text} is ${expected}`, () => {
    assert.equal(parseIpAddress(text), expected);
  });
}

Deno.test("what is no IP address is refused", () => {
  const v4 = ["", "1", "1.2.3", "1.2.3.4.5", "01.2.3.4", "1.2.3.256", "1.2.3.4/8", "0x7f.0.0.1"];
  const v6 = [":", ":::", "1::2::3", "fe80::1%eth0", "[::1]", "::1/64", "12345::", "1:2:3:4:5:6:7"];
  const more = ["::01.2.3.4", "::1.2.3", "g::", " ::1", "::1 ", "1:2:3:4:5:6:7:8:9", "cafe", "a.b"];
  for (const text of [...v4, ...v6, ...more, ":".repeat(10_000), "1.".repeat(5_000)]) {
    assert.equal(parseIpAddress(text), undefined, text.slice(0, 80));
  }
});

Deno.test("an address is one here if and only if the platform says so, zones aside", () => {
  const characters = fc.string({ unit: fc.constantFrom(..."0123456789abf:."), maxLength: 46 });
  fc.assert(fc.property(fc.oneof(characters, fc.ipV4(), fc.ipV6(), fc.ipV4Extended()), (text) => {
    assert.equal(parseIpAddress(text) !== undefined, isIP(text) !== 0, text);
  }));
});

Deno.test("an address's canonical text is a fixed point", () => {
  fc.assert(fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
    const canonical = parseIpAddress(text);
    assert.ok(canonical !== undefined);
    assert.equal(parseIpAddress(canonical), canonical);
  }));
});

Deno.test("absolute URIs are taken as they are", () => {
  for (
    const uri of [
      "spiffe://cluster.local/ns/shop/sa/web",
      "spiffe://td_1/A.b-c_d",
      "https://web.shop.svc:8443/path?query=%41",
      "https://10.0.0.1/",
      "https://[2001:db8::1]:443/",
      "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    ]
  ) assert.equal(parseUri(uri), uri);
});

Deno.test("what is no URI for a certificate is refused", () => {
  const shapes = ["", "x", "/a", "//a/b", "http:", "1a:b", "HTTP://a/", "a b:c", "http://a b/"];
  const parts = [
    "http://u@a/",
    "http://a/#f",
    "http://a:b/",
    "http://a/%4",
    "http://a/[",
    "urn:[x]",
  ];
  const hosts = ["file:///etc", "https://A/", "https://a_b/", "https://[::1", "https://[x]/"];
  const spiffe = ["spiffe:a/b", "spiffe://a", "spiffe://a/", "spiffe://a/b/", "spiffe://a//b"]
    .concat("spiffe://A/b", "spiffe://a/..", "spiffe://a/./b", "spiffe://a:1/b", "spiffe://a/b?c")
    .concat("spiffe://a/%41", "spiffe:///b", `spiffe://${"a".repeat(256)}/b`);
  const long = ["http://a/" + "b".repeat(10_000), "spiffe://a" + "/a".repeat(5_000)];
  for (
    const uri of [...shapes, ...parts, ...hosts, ...spiffe, ...long, "urn:\u00e9", "urn:\ufffd"]
  ) {
    assert.equal(parseUri(uri), undefined, uri.slice(0, 80));
  }
});

Deno.test("no text of 10,000 characters stops the reading of names", () => {
  const unit = fc.constantFrom("a", "-", ".", "1", ":", "/", "%41", "xn--", "*", "http:", "[", "@");
  const block = fc.array(unit, { minLength: 1, maxLength: 6 }).map((parts) => parts.join(""));
  fc.assert(
    fc.property(block, fc.constantFrom("", "!", "\u0000", "/"), (text, end) => {
      const long = text.repeat(10_000 / text.length) + end;
      for (const prefix of ["", "spiffe://", "https://", "*."]) {
        parseDnsName(prefix + long, { wildcard: true });
        parseIpAddress(prefix + long);
        parseUri(prefix + long);
        parseUri((prefix + long).slice(0, 2048));
      }
    }),
    { interruptAfterTimeLimit: 10_000, markInterruptAsFailure: true },
  );
});
