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

/** What the driver of commit bba642b wrote, which has no time since boot and no notBefore. */
const previousRecord = `{
  "version": 1,
  "volumeId": "csi-1",
  "volumeName": "certs",
  "targetPath": "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/certs/mount",
  "pod": {
    "namespace": "default",
    "name": "web-0",
    "uid": "u",
    "serviceAccount": "web"
  },
  "attributes": {
    "duration": "100h",
    "dns-names": "a,b"
  },
  "group": 2000,
  "issuedAt": "2026-01-01T00:00:00.25Z",
  "serialNumber": "0a1b",
  "notAfter": "2026-01-05T04:00:00Z"
}
`;
const previousVolume = volume({
  attributes: { duration: "100h", "dns-names": "a,b" },
  group: 2000,
  issuedAt: Temporal.Instant.from("2026-01-01T00:00:00.25Z"),
  notAfter: Temporal.Instant.from("2026-01-05T04:00:00Z"),
});

Deno.test("a record of the previous driver is read, and its lifetime counts from the issue", () => {
  const parsed = parseRecord(previousRecord);
  assert.ok(parsed.kind === "record");
  assertSameRecord(parsed.record, previousVolume);
});

Deno.test("a record has all that the previous driver wrote, unchanged and in the same form, which is all that it reads", () => {
  const written = JSON.parse(formatRecord({ ...previousVolume, bootId: "b", receivedBootMs: 5 }));
  const { receivedBoot, bootId, notBefore, ...previous } = written;
  assert.deepEqual(previous, JSON.parse(previousRecord));
  assert.deepEqual([receivedBoot, bootId, notBefore], [5, "b", "2025-12-31T23:55:00.25Z"]);
  // Of these the previous driver requires the right types, and it ignores all other keys.
  const { group: _optional, ...required } = previous;
  assert.deepEqual(Object.keys(required), [
    "version",
    "volumeId",
    "volumeName",
    "targetPath",
    "pod",
    "attributes",
    "issuedAt",
    "serialNumber",
    "notAfter",
  ]);
});

Deno.test("a record with attributes that this driver does not accept is read by what is understood, and written with all of them", () => {
  const attributes = { colour: "red", duration: "5s", "renew-before": "8h", "dns-names": "a,B" };
  const text = formatRecord({ ...volume(), attributes });
  const parsed = parseRecord(text);
  assert.ok(parsed.kind === "record");
  const { record } = parsed;
  assert.deepEqual(record.attributes, attributes);
  assert.equal(record.parsed.duration?.total("seconds"), 10, "the shortest that is accepted");
  assert.equal(record.parsed.renewBefore?.total("hours"), 8);
  assert.deepEqual(record.parsed.dnsNames, ["a"]);
  assert.match(
    record.rejectionReason ?? "",
    /^volumeAttributes\["colour"\]: is "red", expected one of .*\["duration"\].*\["dns-names"\]: is "B"/,
  );
  assert.equal(formatRecord(record), text);
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
