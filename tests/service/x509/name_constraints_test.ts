import assert from "node:assert/strict";
import {
  type Name,
  type NameConstraints,
  outsideReason,
} from "../../../src/service/x509/name_constraints.ts";

/** Constraints of one kind, as texts, or for IP addresses as address and mask in hexadecimal. */
function constraints(
  kind: Name["kind"],
  { permitted = [], excluded = [] }: { permitted?: string[]; excluded?: string[] },
): NameConstraints {
  const subtree = (text: string) => ({
    kind,
    text,
    content: kind === "ip" ? Uint8Array.fromHex(text) : new TextEncoder().encode(text),
  });
  return { of: "the root", permitted: permitted.map(subtree), excluded: excluded.map(subtree) };
}

type Case = [kind: Name["kind"], base: string, within: string[], outside: string[]];

const cases: Case[] = [
  ["dns", "cluster.local", ["cluster.local", "a.b.cluster.local", "*.cluster.local"], [
    "evilcluster.local",
    "local",
    "cluster.local.example.com",
  ]],
  ["dns", ".cluster.local", ["a.cluster.local", "a.b.cluster.local"], ["cluster.local"]],
  ["dns", "", ["anything.example.com"], []],
  ["uri", "cluster.local", ["spiffe://cluster.local/ns/a", "https://CLUSTER.local:8443/"], [
    "spiffe://a.cluster.local/ns/a",
    "https://10.1.2.3/",
  ]],
  ["uri", ".example.com", ["https://a.example.com/x"], ["https://example.com/", "urn:a:b"]],
  ["ip", "0a010000ffff0000", ["10.1.2.3"], ["10.2.0.1", "2001:db8::1"]],
  ["ip", "20010db8".padEnd(32, "0") + "ffffffff".padEnd(32, "0"), ["2001:db8::1"], [
    "2001:db9::1",
    "32.1.13.184",
  ]],
];

Deno.test("a name is within a subtree as RFC 5280 and verifiers compare it", () => {
  for (const [kind, base, within, outside] of cases) {
    const reason = (value: string) =>
      outsideReason([constraints(kind, { permitted: [base] })], { kind, value });
    for (const value of within) assert.equal(reason(value), undefined, `${value} in "${base}"`);
    for (const value of outside) {
      assert.match(reason(value) ?? "", /^is outside the name constraints of the root/, value);
    }
  }
});

Deno.test("a name of an excluded subtree is outside, also where only some verifiers compare it so", () => {
  const excluded: [kind: Name["kind"], base: string, value: string, isOutside: boolean][] = [
    ["dns", "secret.example.com", "a.secret.example.com", true],
    ["dns", "secret.example.com", "*.example.com", true],
    ["dns", ".example.com", "*.example.com", true],
    ["dns", "secret.example.com", "*.a.example.com", false],
    ["dns", "example.com", "notexample.com", false],
    // Go and NSS exclude every host by an empty base, OpenSSL none.
    ["uri", "", "spiffe://cluster.local/a", true],
    ["uri", "example.com", "urn:a:b", true],
    ["uri", "example.com", "https://10.1.2.3/", true],
    ["uri", "example.com", "https://a.example.com/", false],
    ["ip", "0000000000000000", "192.0.2.1", true],
    ["ip", "0000000000000000", "2001:db8::1", false],
  ];
  for (const [kind, base, value, isOutside] of excluded) {
    const reason = outsideReason([constraints(kind, { excluded: [base] })], { kind, value });
    assert.equal(reason !== undefined, isOutside, `${value} without "${base}": ${reason}`);
  }
});
