import assert from "node:assert/strict";
import { parseAttributes } from "../../../src/shared/attributes/attribute_parser.ts";
import type { VolumeRecord } from "../../../src/driver/volume/volume_record.ts";
import { comparable } from "../../support/comparable.ts";

const sampleIssuedAt = Temporal.Instant.from("2026-01-01T00:00:00Z");

/** A valid record; each test states only the fields that matter to it. */
export function volume(
  options: Partial<Omit<VolumeRecord, "parsed" | "rejectionReason">> = {},
): VolumeRecord {
  const record = {
    volumeId: "csi-1",
    volumeName: "certs",
    targetPath: "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/certs/mount",
    pod: { namespace: "default", name: "web-0", uid: "u", serviceAccount: "web" },
    attributes: { "dns-names": "a,b" },
    group: undefined,
    notBefore: (options.issuedAt ?? sampleIssuedAt).subtract({ minutes: 5 }),
    issuedAt: sampleIssuedAt,
    receivedBootMs: undefined,
    bootId: undefined,
    serialNumber: "0a1b",
    notAfter: Temporal.Instant.from("2026-01-08T00:00:00.5Z"),
    ...options,
  };
  const parsed = parseAttributes(record.attributes);
  if (parsed.problems.length > 0) throw new Error(JSON.stringify(parsed.problems));
  return { ...record, parsed: parsed.understood, rejectionReason: undefined };
}

export function assertSameRecord(actual: VolumeRecord | undefined, expected: VolumeRecord): void {
  // Attributes that were read have no prototype, which deepEqual would compare.
  const plain = (record: VolumeRecord) =>
    comparable({ ...record, attributes: { ...record.attributes } });
  assert(actual);
  assert.deepEqual(plain(actual), plain(expected));
}
