import assert from "node:assert/strict";
import fc from "fast-check";
import { formatRecord, parseRecord } from "../../../src/driver/records/record_format.ts";
import type { VolumeRecord } from "../../../src/driver/volume/volume_record.ts";
import { assertSameRecord, volume } from "./sample_record.ts";

const anyAttributes = fc.record({
  "dns-names": fc.constantFrom("a", "a,b.example.com", "{metadata.name}.shop"),
  "duration": fc.integer({ min: 10, max: 100_000 }).map((seconds) => `${seconds}s`),
  "organizational_units": fc.constantFrom("Ops", "Ops_2,Web front-end"),
}, { requiredKeys: [], noNullPrototype: true });

const anyName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/);

const anyRecord: fc.Arbitrary<VolumeRecord> = fc.record({
  volumeId: fc.string(),
  volumeName: anyName,
  pod: fc.record({
    namespace: fc.string(),
    name: fc.string(),
    uid: anyName,
    serviceAccount: fc.string(),
  }, { noNullPrototype: true }),
  attributes: anyAttributes,
  group: fc.option(fc.nat(), { nil: undefined }),
  issuedAt: fc.bigInt(10n ** 15n, 10n ** 19n).map((ns) => new Temporal.Instant(ns)),
  receivedBootMs: fc.double({ min: 0, max: 1e12, noNaN: true }).map((ms) => ms + 0),
  bootId: fc.string(),
  serialNumber: fc.string(),
  notAfter: fc.bigInt(0n, 10n ** 19n).map((ns) => new Temporal.Instant(ns)),
}).map((fields) =>
  volume({
    ...fields,
    targetPath: `/pods/${fields.pod.uid}/volumes/kubernetes.io~csi/${fields.volumeName}/mount`,
    attributes: fields.attributes as Record<string, string>,
  })
);

Deno.test("any record survives its text", () => {
  fc.assert(fc.property(anyRecord, (record) => {
    const parsed = parseRecord(formatRecord(record));
    assert.equal(parsed.kind, "record");
    if (parsed.kind === "record") assertSameRecord(parsed.record, record);
  }));
});

Deno.test("a record of an older driver, which has no time since boot, is read, and its lifetime counts from the issue", () => {
  const { receivedBoot: _boot, bootId: _id, notBefore: _notBefore, ...older } = JSON.parse(
    formatRecord(volume({ receivedBootMs: 5_000.25, bootId: "boot-1" })),
  );
  const parsed = parseRecord(JSON.stringify(older));
  assert.ok(parsed.kind === "record");
  assertSameRecord(parsed.record, volume());
  assert.equal(parsed.record.bootId, undefined);
});

Deno.test("a record that is written for an older driver has the keys which that one reads, unchanged", () => {
  const text = formatRecord(volume({ receivedBootMs: 5_000, bootId: "boot-1" }));
  const { version, issuedAt, serialNumber, notAfter } = JSON.parse(text);
  assert.deepEqual([version, issuedAt, serialNumber, notAfter], [
    1,
    "2026-01-01T00:00:00Z",
    "0a1b",
    "2026-01-08T00:00:00.5Z",
  ]);
});

Deno.test("any text is read or refused without a throw", () => {
  const good = formatRecord(volume());
  fc.assert(fc.property(fc.nat(good.length), fc.string(), fc.nat(20), (at, inserted, cut) => {
    parseRecord(good.slice(0, at) + inserted + good.slice(at + cut));
  }));
  fc.assert(fc.property(fc.jsonValue(), (value) => {
    assert.equal(parseRecord(JSON.stringify(value)).kind, "unreadable");
  }));
});

Deno.test("a record with an attribute that this driver does not accept is unreadable, and the attribute is named", () => {
  const text = formatRecord(volume({ attributes: { "duration": "24h" } }));
  for (const [from, to] of [['"duration"', '"lifetime"'], ['"24h"', '"24 hours"']] as const) {
    const parsed = parseRecord(text.replace(from, to));
    assert.ok(parsed.kind === "unreadable");
    assert.match(
      parsed.problem,
      to === '"lifetime"' ? /lifetime/ : /duration "24 hours", expected/,
    );
  }
});
