import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePolicyFile } from "../../../src/service/policy/policy_file.ts";

function problems(text: string): string[] {
  const outcome = parsePolicyFile(text);
  assert(outcome.kind === "refused", text);
  return outcome.problems;
}

Deno.test("a policy file is read into rules", () => {
  const outcome = parsePolicyFile(`
rules:
  # Comments are fine.
  - namespaces: [shop, "team-*"]
    dnsNames: ["*.shop.example.com", pay.example.com]
    uris: ["https://shop.example.com/*"]
    ipRanges: [10.0.0.0/8, "fd00::/8"]
    organizationalUnits: [Payments, "*"]
    maxValidity: 2160h
    keyAlgorithms: [ecdsa-p256, rsa-4096]
    bareNames: false
    shortNames: true
    annotations: true
  - namespaces: ["*"]
`);
  assert(outcome.kind === "rules");
  const [first, second] = outcome.rules;
  assert.deepEqual(first?.namespaces, ["shop", "team-*"]);
  assert.deepEqual(first?.dnsNames, ["*.shop.example.com", "pay.example.com"]);
  assert.deepEqual(first?.uris, ["https://shop.example.com/*"]);
  assert.deepEqual(first?.ipRanges.map(({ width, prefixLength }) => [width, prefixLength]), [
    [32, 8],
    [128, 8],
  ]);
  assert.deepEqual(first?.organizationalUnits, ["Payments", "*"]);
  assert.equal(first?.maxValidity?.total("hours"), 2160);
  assert.deepEqual(first?.keyAlgorithms, ["ecdsa-p256", "rsa-4096"]);
  assert.deepEqual([first?.bareNames, first?.shortNames, first?.annotations], [
    false,
    true,
    true,
  ]);
  // What a rule does not state it does not change.
  assert.deepEqual(second, {
    namespaces: ["*"],
    dnsNames: [],
    uris: [],
    ipRanges: [],
    organizationalUnits: [],
  });
});

Deno.test("a policy file can have an empty list of rules", () => {
  assert.deepEqual(parsePolicyFile("rules: []"), { kind: "rules", rules: [], lines: [] });
});

Deno.test("each problem of a policy file is reported with its line and what is accepted", () => {
  const found = problems(`rules:
  - namespaces: [Shop]
    dnsNames:
      - "*.com"
      - "a.*"
      - "x*.example.com"
    ipRanges: [10.0.0.1/8]
    colour: blue
  - dnsNames: [a.example.com]
    maxValidity: 5s
    bareNames: "no"
`);
  assert.equal(found.length, 9, found.join("\n"));
  assert.match(
    found[0] ?? "",
    /^line 8: "colour" is unknown; expected one of namespaces, dnsNames/,
  );
  const text = found.join("\n");
  assert.match(text, /line 2: namespaces is "Shop"; expected the name of a namespace/);
  assert.match(text, /line 4: dnsNames is "\*\.com"/);
  assert.match(text, /line 5: dnsNames is "a\.\*"/);
  assert.match(text, /line 6: dnsNames is "x\*\.example\.com"/);
  assert.match(text, /line 7: ipRanges is "10\.0\.0\.1\/8"; expected a CIDR range/);
  assert.match(text, /line 9: a rule without "namespaces"/);
  assert.match(text, /line 10: maxValidity is "5s"; expected a Go-style duration/);
  assert.match(text, /line 11: bareNames is "no"; expected true or false/);
});

Deno.test("patterns that would grant too much are rejected", () => {
  const refused = ["*", "*.*", "*.com", "*.*.com", "a.*.com", "A.example.com", "a..b", "a.b."]
    .concat(`${"a.".repeat(126)}aa`, "b\u00fccher.example.com", "a b.example.com", "1.2.3.4");
  for (const pattern of refused) {
    const text = `rules: [{namespaces: [shop], dnsNames: [${JSON.stringify(pattern)}]}]`;
    assert.match(problems(text)[0] ?? "", /^line 1: dnsNames is /, pattern);
  }
  const uris = ["*", "https://*/x", "https://*.example.com/", "https://a.example.com/x*"]
    .concat("*://a.example.com/", "/x/*", "spiffe://cluster.local");
  for (const pattern of uris) {
    const text = `rules: [{namespaces: [shop], uris: [${JSON.stringify(pattern)}]}]`;
    assert.match(problems(text)[0] ?? "", /^line 1: uris is /, pattern);
  }
});

Deno.test("a file that is not a policy is rejected with its line", () => {
  assert.match(problems("")[0] ?? "", /^line 1: empty; expected a mapping with "rules"/);
  assert.match(problems("rules:\n")[0] ?? "", /rules/);
  assert.match(problems("hello")[0] ?? "", /^line 1: the file is not a mapping/);
  assert.match(problems("rules: 5")[0] ?? "", /^line 1: rules is not a list/);
  assert.match(problems("rules: [5]")[0] ?? "", /^line 1: a rule is not a mapping/);
  assert.match(problems("rules: [\n")[0] ?? "", /^line [12]: /);
  assert.match(problems("rules: []\nrules: []\n")[0] ?? "", /^line 2: /);
  assert.match(problems("rules: []\n---\nrules: []\n")[0] ?? "", /document/);
  assert.match(
    problems("rules:\n  - namespaces: []\n")[0] ?? "",
    /^line 2: namespaces is not a list/,
  );
  assert.match(
    problems("rules:\n  - &a {namespaces: [b]}\n  - *a\n")[0] ?? "",
    /^line 3: a rule is not a mapping/,
  );
  assert.match(problems(`#${" ".repeat(2_000_000)}`)[0] ?? "", /characters/);
  assert.match(problems("rules: !!js/function 'x'\n")[0] ?? "", /^line 1: /);
});

Deno.test("no text makes the parser throw", () => {
  const piece = fc.constantFrom(
    ..."rules namespaces [ ] { } : - * & ! a.b \n \" ' # 0 | > ,".split(" "),
  );
  const text = fc.oneof(fc.string(), fc.array(piece).map((pieces) => pieces.join(" ")));
  fc.assert(fc.property(text, (text) => {
    const outcome = parsePolicyFile(text);
    assert(outcome.kind === "rules" || outcome.problems.length > 0);
  }));
});
