import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePolicyFile } from "../../../src/service/policy/policy_file.ts";
import { accepted, notYaml, refused } from "./policy_files.ts";
import { granted } from "./policy_fixture.ts";
import { policy } from "../../support/service_fixture.ts";

function problems(text: string): string[] {
  const outcome = parsePolicyFile(text, policy());
  assert(outcome.kind === "refused", text);
  return outcome.problems;
}

Deno.test("a policy file is read into rules", () => {
  const outcome = parsePolicyFile(
    `
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
    minValidity: 30m
    podCertificates: false
    annotations: true
  - namespaces: ["*"]
    dnsNames: [a.example.com]
`,
    policy(),
  );
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
  assert.equal(first?.minValidity?.total("minutes"), 30);
  assert.equal(first?.podCertificates, false);
  assert.deepEqual(first?.keyAlgorithms, ["ecdsa-p256", "rsa-4096"]);
  assert.deepEqual([first?.bareNames, first?.shortNames, first?.annotations], [
    false,
    true,
    true,
  ]);
  // What a rule does not state it does not change.
  assert.deepEqual(second, {
    namespaces: ["*"],
    dnsNames: ["a.example.com"],
    uris: [],
    ipRanges: [],
    organizationalUnits: [],
  });
});

Deno.test("a policy file can have an empty list of rules", () => {
  assert.deepEqual(parsePolicyFile("rules: []", policy()), { kind: "rules", rules: [], lines: [] });
});

Deno.test("every file that is well formed and has an effect is accepted", () => {
  for (const { text } of accepted) {
    const outcome = parsePolicyFile(text, policy());
    assert.equal(outcome.kind, "rules", `${text}: ${"problems" in outcome && outcome.problems}`);
  }
});

Deno.test("every other file is refused with its line, its rule, the key and what is accepted", () => {
  for (const { text, problem } of [...refused, ...notYaml]) {
    assert.match(problems(text)[0] ?? "", problem, text.slice(0, 200));
  }
});

Deno.test('"*" alone is any organizational unit, and any namespace', () => {
  const outcome = parsePolicyFile(
    'rules: [{namespaces: "*", organizationalUnits: "*"}]',
    policy(),
  );
  assert(outcome.kind === "rules");
  assert.deepEqual(outcome.rules[0]?.namespaces, ["*"]);
  const { names } = granted({ "organizational_units": "Any Unit" }, { rules: outcome.rules });
  assert.deepEqual(names.organizationalUnits, ["Any Unit"]);
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
    /^line 8, rule 1: "colour" is unknown; expected one of namespaces, dnsNames/,
  );
  const text = found.join("\n");
  assert.match(
    text,
    /line 2, rule 1: namespaces is "Shop" \(is shop meant\?\); expected the name of a namespace/,
  );
  assert.match(text, /line 4, rule 1: dnsNames is "\*\.com"/);
  assert.match(text, /line 5, rule 1: dnsNames is "a\.\*"/);
  assert.match(text, /line 6, rule 1: dnsNames is "x\*\.example\.com"/);
  assert.match(text, /line 7, rule 1: ipRanges is "10\.0\.0\.1\/8"; expected a CIDR range/);
  assert.match(text, /line 9, rule 2: has no "namespaces"/);
  assert.match(text, /line 10, rule 2: maxValidity is "5s"; expected a Go-style duration/);
  assert.match(
    text,
    /line 11, rule 2: bareNames is "no" \(is false meant\?\); expected true or false/,
  );
});

Deno.test("no text makes the parser throw", () => {
  const piece = fc.constantFrom(
    ..."rules namespaces [ ] { } : - * & ! a.b \n \" ' # 0 | > ,".split(" "),
  );
  const text = fc.oneof(fc.string(), fc.array(piece).map((pieces) => pieces.join(" ")));
  fc.assert(fc.property(text, (text) => {
    const outcome = parsePolicyFile(text, policy());
    assert(outcome.kind === "rules" || outcome.problems.length > 0);
  }));
});
