import assert from "node:assert/strict";
import fc from "fast-check";
import {
  knownAttributes,
  parseAttributes,
} from "../../../src/shared/attributes/attribute_parser.ts";

function problems(attributes: Record<string, string>) {
  const outcome = parseAttributes(attributes);
  assert.notEqual(outcome.problems.length, 0, JSON.stringify(attributes).slice(0, 200));
  return outcome.problems;
}

const name254 = ["a", "b", "c", "d"].map((letter) => letter.repeat(63)).join(".").slice(0, 254);
const refused: Record<string, string[]> = {
  "duration": ["1", "1d", "0", "0s", "-1h", "9s", "9999ms", "87600h1s", "1e9h", "10s ", "1us"],
  "validity_days": ["0", "-1", "3651", "1.5", "01", "7d", "99999", "1e3", " 7"],
  "renew-before": ["0s", "-1h", "soon", "87600h"],
  "cn_template": ["Web Shop", "*.a.b", "{metadata.nam}", "{", "{metadata.name}_x", "a".repeat(65)],
  "organizational_units": [
    "a,",
    ",a",
    "a,,b",
    "a/b",
    "é",
    "a+b",
    "o".repeat(65),
    "{metadata.name}",
  ],
  "dns-names": ["A", "a.", "a_b", "1.2.3.4", "a b", "a,", "*", "a.*.b", "x.{}", "}", "bücher.de"]
    .concat(name254, "{metadata.labels.a}..b", "-{metadata.name}"),
  "ip-sans": ["1.2.3", "01.2.3.4", "::1%lo", "10.0.0.0/8", "{metadata.name}", "localhost"],
  "uri-sans": ["a", "/a", "HTTP://a/", "spiffe://a", "spiffe://{metadata.nam}/b", "http://a/#b"],
  "key-algorithm": ["RSA", "dsa", "rsa-2048", "ecdsa,rsa", "constructor", "__proto__"],
  "key-size": ["128", "2048", "0", "-256", "256.0", "toString", "1024"],
  "reuse-private-key": ["TRUE", "yes", "1", "true "],
  "file-mode": [
    "44",
    "00440",
    "04440",
    "4440",
    "1777",
    "0777",
    "0664",
    "0642",
    "0000",
    "0040",
    "0o40",
  ],
  "certificate-file": [
    ".",
    "..",
    "..data",
    "a/b",
    "/a",
    "a b",
    "f".repeat(129),
    "tls.key",
    "ca.crt",
  ],
  "privatekey-file": ["../x", "tls.crt", "é.key"],
  "ca-file": ["..2024", "tls.crt", "a\\b"],
};
const everywhere = ["", "   ", "x\u0000y", "a\n", "a\ufffd", "\u202etxt", "a\u007f", "\ud800"];
for (const attribute of knownAttributes) {
  Deno.test(`what ${attribute} does not take is refused in its name`, () => {
    const values = refused[attribute] ?? assert.fail("no cases");
    for (const value of [...values, ...everywhere, "a".repeat(10_000)]) {
      const [problem, ...others] = problems({ [attribute]: value });
      assert.equal(problem?.attribute, attribute, value.slice(0, 80));
      assert.deepEqual(others, []);
      assert.match(problem.given, /^[^\p{C}\ufffd]{0,61}$/u);
      assert.ok(problem.expected.length > 3);
    }
  });
}

Deno.test("an unknown attribute is answered with those that are known", () => {
  for (const key of ["", "durations", "Duration", "__proto__", "a".repeat(10_000), "a\u0000"]) {
    const [problem, ...others] = problems(Object.fromEntries([[key, "1h"]]));
    assert.deepEqual(others, []);
    assert.equal(problem?.given, "1h");
    assert.match(problem.attribute, /^[^\p{C}]{0,61}$/u);
    for (const known of knownAttributes) assert.ok(problem.expected.includes(known));
  }
});

Deno.test("control characters are shown escaped, and long values short", () => {
  const given = (value: string) => problems({ "duration": value })[0]?.given;
  assert.equal(given("1h\n\u0000\u202e"), "1h\\u{a}\\u{0}\\u{202e}");
  assert.equal(given("\ud83d\ude00"), "\ud83d\ude00");
  assert.equal(given("x".repeat(10_000)), `${"x".repeat(60)}…`);
  assert.equal(given("x".repeat(60)), "x".repeat(60));
});

Deno.test("all that is wrong is said at once", () => {
  const found = problems({
    "validity_days": "400000",
    "fil-mode": "0440",
    "dns-names": "A,b,C",
    "ip-sans": "1",
    "key-algorithm": "dsa",
    "key-size": "7",
    "file-mode": "0777",
  });
  assert.deepEqual(found.map(({ attribute, given }) => `${attribute}=${given}`), [
    "fil-mode=0440",
    "validity_days=400000",
    "dns-names=A",
    "dns-names=C",
    "ip-sans=1",
    "key-algorithm=dsa",
    "file-mode=0777",
  ]);
});

Deno.test("attributes, however odd or long, are read without a throw, and name three files of the volume's directory", () => {
  const part = fc.constantFrom("a", ",", "{metadata.name}", "{", "}", ".", "1h", "-", "xn--", "::");
  const odd = fc.array(part, { minLength: 1, maxLength: 8 }).map((parts) => parts.join(""));
  const long = odd.map((text) => text.repeat(Math.ceil(4096 / text.length)).slice(0, 4096));
  const huge = odd.map((text) => text.repeat(10_000));
  const value = fc.oneof(fc.string({ unit: "binary" }), odd, long, huge);
  const key = fc.oneof(fc.constantFrom(...knownAttributes), fc.string());
  fc.assert(
    fc.property(fc.dictionary(key, value, { maxKeys: 6 }), (attributes) => {
      const { problems, understood } = parseAttributes(attributes);
      const { certificateFile, privateKeyFile, caFile } = understood;
      const files = [certificateFile, privateKeyFile, caFile];
      assert.equal(new Set(files).size, 3, `three files: ${files}`);
      for (const file of files) assert.match(file, /^(?!\.$|\.\.)[^/\p{C}]{1,255}$/u);
      for (const { attribute, given } of problems) {
        assert.match(attribute + given, /^[^\p{C}\ufffd]{0,122}$/u);
      }
    }),
    { interruptAfterTimeLimit: 20_000, markInterruptAsFailure: true },
  );
});
