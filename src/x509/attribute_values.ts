import type { VolumeAttributes } from "./attributes.ts";
import { parseDuration } from "./durations.ts";
import type { KeyAlgorithm } from "./keys.ts";

/** Notes a problem: the attribute, what was given, what is accepted. */
export type Report = (attribute: string, given: string, expected: string) => undefined;

/** The values by attribute; undefined for one that was given and is already refused. */
export type Values = ReadonlyMap<string, string | undefined>;

/** A value that passes, or what is accepted in its place. */
export type Outcome<T> = { readonly value: T } | { readonly expected: string };

const shortestMs = 10_000;
const longestMs = 87_600 * 3_600_000;

/** `duration`, `validity_days` and `renew-before`. */
export function readLifetime(
  values: Values,
  report: Report,
): Pick<VolumeAttributes, "duration" | "renewBefore"> {
  const stated = readOne(values, "duration", report, readDuration);
  const days = readOne(values, "validity_days", report, readDays);
  if (values.has("duration") && values.has("validity_days")) {
    report("validity_days", values.get("validity_days") ?? "", "to be left out beside duration");
  }
  const duration = stated ?? days;
  const renewBefore = readOne(values, "renew-before", report, readRenewBefore);
  if (duration && renewBefore && Temporal.Duration.compare(renewBefore, duration) >= 0) {
    const attribute = stated ? "duration" : "validity_days";
    report("renew-before", values.get("renew-before") ?? "", `less than the ${attribute}`);
  }
  return { duration, renewBefore };
}

function readDuration(text: string): Outcome<Temporal.Duration> {
  const value = parseDuration(text);
  const ms = value?.total("milliseconds") ?? 0;
  if (value && ms >= shortestMs && ms <= longestMs) return { value };
  return { expected: 'a Go-style duration from 10s to 87600h, such as "24h" or "1h30m"' };
}

function readDays(text: string): Outcome<Temporal.Duration> {
  const days = /^[1-9][0-9]{0,3}$/.test(text) ? Number(text) : 0;
  if (days >= 1 && days <= 3650) return { value: Temporal.Duration.from({ hours: days * 24 }) };
  return { expected: "a whole number of days from 1 to 3650" };
}

function readRenewBefore(text: string): Outcome<Temporal.Duration> {
  const value = parseDuration(text);
  const ms = value?.total("milliseconds") ?? 0;
  if (value && ms > 0 && ms < longestMs) return { value };
  return { expected: 'a Go-style duration above 0s and below 87600h, such as "8h"' };
}

const keySizes: Readonly<Record<string, Readonly<Record<string, KeyAlgorithm>>>> = {
  ecdsa: { "256": "ecdsa-p256", "384": "ecdsa-p384" },
  rsa: { "2048": "rsa-2048", "3072": "rsa-3072", "4096": "rsa-4096" },
  ed25519: {},
};

/** `key-algorithm`, `key-size` and `reuse-private-key`. */
export function readKey(
  values: Values,
  report: Report,
): Pick<VolumeAttributes, "keyAlgorithm" | "reusePrivateKey"> {
  const reuse = readOne(values, "reuse-private-key", report, readBoolean) ?? false;
  return { keyAlgorithm: readKeyAlgorithm(values, report), reusePrivateKey: reuse };
}

function readKeyAlgorithm(values: Values, report: Report): KeyAlgorithm {
  const fallback: KeyAlgorithm = "ecdsa-p256";
  const family = values.has("key-algorithm") ? values.get("key-algorithm") : "ecdsa";
  if (family === undefined) return fallback;
  const sizes = Object.hasOwn(keySizes, family) ? keySizes[family] : undefined;
  if (sizes === undefined) {
    report("key-algorithm", family, `one of ${Object.keys(keySizes).join(", ")}`);
    return fallback;
  }
  const size = values.get("key-size");
  if (size === undefined) return Object.values(sizes)[0] ?? "ed25519";
  const algorithm = Object.hasOwn(sizes, size) ? sizes[size] : undefined;
  if (algorithm === undefined) report("key-size", size, expectedSize(family, values));
  return algorithm ?? fallback;
}

function expectedSize(family: string, values: Values): string {
  const sizes = Object.keys(keySizes[family] ?? {});
  if (sizes.length === 0) return `to be left out: ${family} keys come in one size`;
  const hint = values.has("key-algorithm") ? "" : " (the default; rsa needs key-algorithm: rsa)";
  return `one of ${sizes.join(", ")} for ${family}${hint}`;
}

function readBoolean(text: string): Outcome<boolean> {
  if (text === "true" || text === "false") return { value: text === "true" };
  return { expected: 'true or false (in quotes in YAML: "true")' };
}

/** `file-mode`, `certificate-file`, `privatekey-file` and `ca-file`. */
export function readFiles(
  values: Values,
  report: Report,
): Pick<VolumeAttributes, "fileMode" | "certificateFile" | "privateKeyFile" | "caFile"> {
  const fileMode = readOne(values, "file-mode", report, readMode);
  const certificateFile = readOne(values, "certificate-file", report, readFileName) ?? "tls.crt";
  const privateKeyFile = readOne(values, "privatekey-file", report, readFileName) ?? "tls.key";
  const caFile = readOne(values, "ca-file", report, readFileName) ?? "ca.crt";
  const names = [
    ["certificate-file", certificateFile],
    ["privatekey-file", privateKeyFile],
    ["ca-file", caFile],
  ] as const;
  for (const [attribute, name] of names) {
    const twin = names.find(([other, same]) => other !== attribute && same === name);
    if (twin && values.get(attribute) !== undefined) {
      report(attribute, name, `a name other than that of ${twin[0]}`);
    }
  }
  return { fileMode, certificateFile, privateKeyFile, caFile };
}

function readMode(text: string): Outcome<number> {
  const mode = /^0?[0-7]{3}$/.test(text) ? parseInt(text, 8) : 0;
  if ((mode & 0o400) !== 0 && (mode & 0o022) === 0) return { value: mode };
  return {
    expected: 'three or four octal digits such as "0440": readable for the owner, ' +
      "writable for nobody else, no special bits",
  };
}

function readFileName(text: string): Outcome<string> {
  const isName = /^[A-Za-z0-9._-]{1,128}$/.test(text) && text !== "." && !text.startsWith("..");
  if (isName) return { value: text };
  return { expected: "a file name of 1 to 128 letters, digits, . _ -, not starting with .." };
}

/** One attribute's value; undefined when it is absent, or refused and reported. */
export function readOne<T>(
  values: Values,
  attribute: string,
  report: Report,
  read: (text: string) => Outcome<T>,
): T | undefined {
  const text = values.get(attribute);
  if (text === undefined) return undefined;
  const outcome = read(text);
  return "value" in outcome ? outcome.value : report(attribute, text, outcome.expected);
}

/** A comma-separated list, each item once, blanks around items dropped. */
export function readList<T>(
  values: Values,
  attribute: string,
  atMost: number,
  report: Report,
  read: (text: string) => Outcome<T>,
): T[] {
  const text = values.get(attribute);
  if (text === undefined) return [];
  const items = text.split(",").map((item) => item.trim());
  if (items.length > atMost) {
    report(attribute, `${items.length} items`, `at most ${atMost} items`);
    return [];
  }
  const accepted = new Set<T>();
  for (const item of items) {
    const outcome: Outcome<T> = item === ""
      ? { expected: "items between all commas, and none at the end" }
      : read(item);
    if ("value" in outcome) accepted.add(outcome.value);
    else report(attribute, item === "" ? text : item, outcome.expected);
  }
  return [...accepted];
}
