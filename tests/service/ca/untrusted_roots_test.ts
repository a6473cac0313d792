import assert from "node:assert/strict";
import fc from "fast-check";
import {
  formatRecord,
  isOlder,
  parseRecord,
  type RotationRecord,
} from "../../../src/service/ca/rotation_record.ts";
import { nextTrustState as transition } from "../../../src/service/ca/rotation.ts";
import {
  emptyTrustState,
  formatTrustState,
  parseTrustState,
  type TrustState,
} from "../../../src/service/ca/trust_state.ts";
import { mergeUntrusted, type UntrustedRoot } from "../../../src/service/ca/untrusted_roots.ts";
import type { LoadedCa } from "../../../src/service/ca/loaded_ca.ts";
import { forge } from "../../support/certificate_forge.ts";
import {
  compromised,
  load,
  makeSecret,
  nextTrustState,
  settings,
  start,
} from "./rotation_fixture.ts";

const secrets = await Promise.all(["A", "B", "C"].map((name) => makeSecret(name)));
const cas = await Promise.all(secrets.map(load));
const [a, b, c] = cas as [LoadedCa, LoadedCa, LoadedCa];
const source = (version: string, uid = "uid-1") => ({ uid, version });
const subjects = ({ anchors }: TrustState) =>
  anchors.map(({ certificate }) => certificate.commonName).join();
const first = nextTrustState(emptyTrustState, a, start, settings);
const afterCompromise = nextTrustState(first, compromised(b), start, settings);
const [listed] = afterCompromise.untrusted;

function rejection(state: TrustState, candidate: LoadedCa): string {
  const { state: after, rejection } = transition(state, candidate, start, settings);
  assert.equal(subjects(after), subjects(state));
  return rejection?.problem ?? "accepted";
}

/** As an operator edits it in the document. */
function edited(state: TrustState, edit: (text: string) => string): TrustState {
  const data = formatTrustState(state);
  const parsed = parseTrustState({ ...data, "rotation.txt": edit(data["rotation.txt"] ?? "") });
  assert(parsed.kind === "state");
  return parsed.state;
}

Deno.test("a root whose key was marked as compromised is never accepted again, as a CA or as a further root", () => {
  assert.deepEqual(afterCompromise.untrusted.map(({ subject }) => subject), ["CN=A"]);
  assert.match(
    rejection(afterCompromise, a),
    /^the certificate "CN=A" is in the list of untrusted roots, as [0-9a-f]{64}: make a CA with a new key/,
  );
  assert.match(rejection(afterCompromise, compromised(a)), /list of untrusted roots/);
  const withFurther = { ...b, furtherAnchors: a.anchors };
  assert.equal(subjects(nextTrustState(afterCompromise, withFurther, start, settings)), "B");
});

Deno.test("a root that another version or an editor has published again leaves the bundle, and its CA does not sign", () => {
  const { anchors, signing } = first;
  const brought = { ...afterCompromise, anchors: [...anchors, ...afterCompromise.anchors] };
  assert.equal(subjects(nextTrustState(brought, undefined, start, settings)), "B");
  const { state } = transition({ ...brought, signing }, undefined, start, settings);
  assert.deepEqual([subjects(state), state.signing], ["B", undefined]);
});

Deno.test("a CA of another certificate with a compromised key is rejected, before and after that key is listed", async () => {
  const at = { notBefore: start.subtract({ hours: 1 }), notAfter: start.add({ hours: 9000 }) };
  const pair = await forge({ commonName: "A", ...at });
  const again = await forge({
    commonName: "A again",
    ...at,
    keys: pair.keys,
  });
  const [old, renewed] = await Promise.all(
    [pair, again].map((ca) => load({ ...ca, furtherAnchorsPem: undefined, compromised: false })),
  ) as [LoadedCa, LoadedCa];
  const state = nextTrustState(emptyTrustState, old, start, settings);
  assert.match(
    rejection(state, compromised(renewed)),
    /uses the key of the former CA the certificate "CN=A", which is marked as compromised/,
  );
  const replaced = nextTrustState(state, compromised(b), start, settings);
  assert.match(rejection(replaced, renewed), /"CN=A again" is in the list of untrusted roots/);
  // Without the annotation it is a renewal.
  assert.equal(subjects(nextTrustState(state, renewed, start, settings)), "A,A again");
});

Deno.test("a root is trusted again when an operator changes one word, and the list of a replica that remembers does not undo it", () => {
  const again = edited(
    afterCompromise,
    (text) => text.replace("untrusted " + listed?.fingerprint, "trusted " + listed?.fingerprint),
  );
  const merged = {
    ...again,
    untrusted: mergeUntrusted(again.untrusted, afterCompromise.untrusted),
  };
  assert.equal(subjects(nextTrustState(merged, a, start, settings)), "B,A");
  // Marked again, it is untrusted again for every replica that remembers the permission.
  const twice = nextTrustState(
    nextTrustState(merged, a, start, settings),
    compromised(c),
    start,
    settings,
  );
  assert.match(
    rejection({ ...twice, untrusted: mergeUntrusted(merged.untrusted, twice.untrusted) }, a),
    /list of untrusted roots/,
  );
});

Deno.test("a Secret that is older than the one that was acted on is not acted on, where the two can be compared", () => {
  const state = nextTrustState(first, { ...b, source: source("1000") }, start, settings);
  assert.deepEqual(state.source, source("1000"));
  assert.match(
    rejection(state, { ...c, source: source("999") }),
    /has read the Secret's resourceVersion 999, and 1000 was acted on already/,
  );
  for (const comparable of [source("1000"), source("1001"), source("999", "uid-2"), undefined]) {
    assert.equal(
      subjects(nextTrustState(state, { ...c, source: comparable }, start, settings)),
      "A,B,C",
    );
  }
});

Deno.test("versions are compared as numbers of any length, and only of the same Secret", () => {
  const cases: [string, string, boolean][] = [
    ["9", "10", true],
    ["10", "9", false],
    ["10", "10", false],
    ["99999999999999999999", "100000000000000000000", true],
    ["abc", "abd", false],
    ["9", "1a", false],
    ["0", "5", false],
    ["05", "6", false],
    ["", "5", false],
  ];
  for (const [one, other, expected] of cases) {
    assert.equal(isOlder(source(one), source(other)), expected, `${one} ${other}`);
    assert.equal(isOlder(source(one), source(other, "uid-2")), false);
  }
  assert.equal(isOlder(undefined, source("1")), false);
  assert.equal(isOlder(source("1"), undefined), false);
});

const hex = fc.string({
  unit: fc.constantFrom(..."0123456789abcdef"),
  minLength: 64,
  maxLength: 64,
});
const untrustedRoot: fc.Arbitrary<UntrustedRoot> = fc.record({
  fingerprint: hex,
  key: fc.option(hex, { nil: undefined }),
  isTrustedAgain: fc.boolean(),
  revision: fc.integer({ min: 1, max: 99 }),
  subject: fc.constantFrom("", "CN=A", "CN=a b,O=c"),
}, { noNullPrototype: true });
const record: fc.Arbitrary<RotationRecord> = fc.record({
  untrusted: fc.uniqueArray(untrustedRoot, {
    selector: ({ fingerprint }) => fingerprint,
    maxLength: 6,
  })
    .map((list) => mergeUntrusted(list, [])),
  source: fc.option(
    fc.record({ uid: fc.uuid(), version: fc.constantFrom("7", "x-1") }, { noNullPrototype: true }),
    {
      nil: undefined,
    },
  ),
  revision: fc.nat(),
}, { noNullPrototype: true });

Deno.test("the record survives being written and read, and the order in which lists are merged does not matter", () => {
  fc.assert(fc.property(record, record, (one, other) => {
    assert.deepEqual(parseRecord(formatRecord(one)), { record: one, problems: [] });
    const left = mergeUntrusted(one.untrusted, other.untrusted);
    assert.deepEqual(left, mergeUntrusted(other.untrusted, one.untrusted));
    assert.deepEqual(left, mergeUntrusted(left, one.untrusted));
  }));
});

Deno.test("a record with the line ends of another editor, or spaces before them, is complete", () => {
  const written = { ...afterCompromise, source: source("17"), revision: 5 };
  const { record, problems } = parseRecord(formatRecord(written));
  for (const end of ["\r\n", " \n", "\t\r\n"]) {
    const text = formatRecord(written).replaceAll("\n", end);
    assert.deepEqual(parseRecord(text), { record, problems });
  }
  assert.deepEqual([record.source, record.revision, problems], [source("17"), 5, []]);
});

Deno.test("a record that is damaged loses only the lines that are damaged, and no fingerprint in them", () => {
  const text = formatRecord(afterCompromise);
  const { fingerprint = "" } = listed ?? {};
  for (
    const damage of [
      (line: string) => line.replace("untrusted", "untrusted:"),
      (line: string) => line.slice(0, 80),
      (line: string) => `  - ${line}`,
      (line: string) => line.replace(/ 1 CN=A$/, ""),
    ]
  ) {
    const damaged = text.split("\n").map((line) =>
      line.startsWith("untrusted") ? damage(line) : line
    );
    const { record, problems } = parseRecord(damaged.join("\n"));
    assert.equal(problems.length, 1);
    assert.match(problems[0] ?? "", /^line \d+ cannot be read$/);
    assert.deepEqual(record.untrusted.map((root) => root.fingerprint), [fingerprint]);
    assert.equal(record.revision, afterCompromise.revision);
  }
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => void parseRecord(text)));
});

Deno.test("a document of the version before is read with an empty list, and that version keeps the list", () => {
  const { "rotation.txt": list, ...before } = formatTrustState(afterCompromise);
  const parsed = parseTrustState(before);
  assert(parsed.kind === "state");
  assert.deepEqual(parsed.state.untrusted, []);
  assert.equal(subjects(parsed.state), "B");
  // It writes the other keys only, and reads no field in them that it does not know.
  assert.deepEqual(Object.keys(JSON.parse(before["state.json"] ?? "")), [
    "version",
    "signing",
    "anchors",
  ]);
  assert(list?.includes(`untrusted ${listed?.fingerprint} `));
});
