import assert from "node:assert/strict";
import fc from "fast-check";
import { parseIpRange, rangeContains } from "../../../src/service/policy/ip_ranges.ts";
import { parseIpAddress } from "../../../src/shared/text/name_syntax.ts";

function contains(range: string, address: string): boolean {
  const parsed = parseIpRange(range);
  const canonical = parseIpAddress(address);
  assert(parsed !== undefined && canonical !== undefined, `${range} ${address}`);
  return rangeContains(parsed, canonical);
}

Deno.test("an address is in the ranges whose prefix it has", () => {
  assert.equal(contains("10.1.0.0/16", "10.1.255.255"), true);
  assert.equal(contains("10.1.0.0/16", "10.2.0.0"), false);
  assert.equal(contains("10.1.2.3/32", "10.1.2.3"), true);
  assert.equal(contains("10.1.2.3/32", "10.1.2.4"), false);
  assert.equal(contains("0.0.0.0/0", "255.255.255.255"), true);
  assert.equal(contains("0.0.0.0/0", "::1"), false);
  assert.equal(contains("::/0", "10.0.0.1"), false);
  assert.equal(contains("2001:db8::/32", "2001:db8:ffff::"), true);
  assert.equal(contains("2001:db8::/32", "2001:db9::"), false);
  assert.equal(contains("fe80::/10", "fe80::1:2:3:4"), true);
  assert.equal(contains("::1/128", "::1"), true);
  assert.equal(contains("1:2:3:4:5:6:7:0/112", "1:2:3:4:5:6:7:8"), true);
});

Deno.test("a text that is not a range is rejected", () => {
  const wrong = ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.1/8", "10.0.0.0/-1", "::/129"]
    .concat("::ffff:10.0.0.0/104", "fe80::1%eth0/64", "a/8", "", "/", "10.0.0/8", "10.0.0.0/8 ");
  for (const text of wrong) assert.equal(parseIpRange(text), undefined, text);
});

Deno.test("every address is in the range of itself alone and in the range of all addresses", () => {
  const ipv4 = fc.ipV4().filter((text) => parseIpAddress(text) !== undefined);
  const ipv6 = fc.ipV6().map(parseIpAddress).filter((text) => text?.includes(":") ?? false);
  fc.assert(fc.property(fc.oneof(ipv4, ipv6.map(String)), (address) => {
    const width = address.includes(":") ? 128 : 32;
    assert.equal(contains(`${address}/${width}`, address), true);
    assert.equal(contains(width === 32 ? "0.0.0.0/0" : "::/0", address), true);
  }));
});
