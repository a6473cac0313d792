/**
 * This folder stores what the driver remembers of each volume: the file `volume.json`, the name of
 * its directory, and the lock on `CERT_BASE_PATH`. Its main functions are `formatRecord`,
 * `parseRecord`, `openRecordStore` and `acquireBasePathLock`. It never writes a private key, and
 * never changes a file that the driver did not write.
 */

import { describeProblems, parseAttributes } from "../../shared/attributes/attribute_parser.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import { maxClockSkew } from "../../shared/x509/clock_skew.ts";
import { parseTargetPath } from "../volume/target_path.ts";
import type { VolumeRecord } from "../volume/volume_record.ts";

/** Raised by every change that an older driver would misread. */
const version = 1;

/** The text of volume.json. */
export function formatRecord(record: VolumeRecord): string {
  const { pod, group } = record;
  const document = {
    version,
    volumeId: record.volumeId,
    volumeName: record.volumeName,
    targetPath: record.targetPath,
    pod: {
      namespace: pod.namespace,
      name: pod.name,
      uid: pod.uid,
      serviceAccount: pod.serviceAccount,
    },
    attributes: { ...record.attributes },
    ...(group === undefined ? {} : { group }),
    issuedAt: record.issuedAt.toString(),
    ...(record.bootId === undefined
      ? {}
      : { receivedBoot: record.receivedBootMs, bootId: record.bootId }),
    serialNumber: record.serialNumber,
    notBefore: record.notBefore.toString(),
    notAfter: record.notAfter.toString(),
  };
  return JSON.stringify(document, null, 2) + "\n";
}

export type ParsedRecord =
  | { readonly kind: "record"; readonly record: VolumeRecord }
  | { readonly kind: "unreadable"; readonly problem: string };

/** Reads volume.json; every field is checked, and an unknown key is ignored. */
export function parseRecord(text: string): ParsedRecord {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    return unreadable(text.trim() === "" ? "is empty" : "is not JSON (truncated?)");
  }
  if (!isObject(document)) return unreadable("is not a JSON object");
  if (document.version !== version) {
    return unreadable(
      `has version ${abbreviate(document.version)}, this driver reads version ${version}`,
    );
  }
  try {
    return { kind: "record", record: readRecord(document) };
  } catch (error) {
    if (error instanceof FieldError) return unreadable(error.message);
    throw error;
  }
}

function readRecord(document: Fields): VolumeRecord {
  const attributes = readAttributes(object(document, "attributes"));
  const pod = readPod(object(document, "pod"));
  const issuedAt = instant(document, "issuedAt");
  return {
    volumeId: text(document, "volumeId"),
    volumeName: text(document, "volumeName"),
    targetPath: readTargetPath(document, pod),
    pod,
    attributes,
    ...parse(attributes),
    group: readGroup(document.group),
    issuedAt,
    ...readBoot(document),
    serialNumber: text(document, "serialNumber"),
    // An older driver stored none; the mounted certificate corrects it.
    notBefore: document.notBefore === undefined
      ? issuedAt.subtract(maxClockSkew)
      : instant(document, "notBefore"),
    notAfter: instant(document, "notAfter"),
  };
}

function readPod(pod: Fields): PodIdentity {
  return {
    namespace: text(pod, "namespace"),
    name: text(pod, "name"),
    uid: text(pod, "uid"),
    serviceAccount: text(pod, "serviceAccount"),
  };
}

/** Another path would make the driver remove what is not its own. */
function readTargetPath(document: Fields, { uid }: PodIdentity): string {
  const path = text(document, "targetPath");
  if (parseTargetPath(path)?.podUid === uid) return path;
  const expected = `a target path of the pod with uid ${abbreviate(uid)}`;
  throw mismatch("targetPath", expected, path);
}

function readAttributes(attributes: Fields): Record<string, string> {
  for (const name of Object.keys(attributes)) text(attributes, name);
  return attributes as Record<string, string>;
}

/** Another version of the driver may have stored attributes that this one does not accept. */
function parse(attributes: Record<string, string>) {
  const parsed = parseAttributes(attributes);
  const rejectionReason = describeProblems(parsed, (name) => `volumeAttributes["${name}"]`);
  return { parsed: parsed.understood, rejectionReason };
}

function readGroup(group: unknown): number | undefined {
  if (group === undefined) return undefined;
  if (typeof group === "number" && Number.isInteger(group) && group >= 0) return group;
  throw mismatch("group", "a group id", group);
}

/** When the certificate was received since the boot; an older driver did not store it. */
function readBoot(document: Fields): Pick<VolumeRecord, "receivedBootMs" | "bootId"> {
  const { receivedBoot, bootId } = document;
  if (receivedBoot === undefined || bootId === undefined) {
    return { receivedBootMs: undefined, bootId: undefined };
  }
  if (typeof receivedBoot !== "number" || !Number.isFinite(receivedBoot)) {
    throw mismatch("receivedBoot", "a number of milliseconds since boot", receivedBoot);
  }
  return { receivedBootMs: receivedBoot, bootId: text(document, "bootId") };
}

function text(fields: Fields, name: string): string {
  const value = fields[name];
  if (typeof value === "string") return value;
  throw mismatch(name, "a string", value);
}

function object(fields: Fields, name: string): Fields {
  const value = fields[name];
  if (isObject(value)) return value;
  throw mismatch(name, "an object", value);
}

function instant(fields: Fields, name: string): Temporal.Instant {
  const value = text(fields, name);
  try {
    return Temporal.Instant.from(value);
  } catch {
    throw mismatch(name, "an instant (RFC 3339)", value);
  }
}

type Fields = Record<string, unknown>;

/** A field of a record that cannot be used. */
class FieldError extends Error {}

function mismatch(name: string, expected: string, given: unknown): FieldError {
  return new FieldError(`${JSON.stringify(name)} has to be ${expected}, not ${abbreviate(given)}`);
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function abbreviate(value: unknown): string {
  const text = JSON.stringify(value) ?? "absent";
  return text.length > 40 ? `${text.slice(0, 39)}…` : text;
}

function unreadable(problem: string): ParsedRecord {
  return { kind: "unreadable", problem };
}
