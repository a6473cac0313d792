import type { KeyAlgorithm } from "../crypto/key_algorithm.ts";
import {
  type AttributeTexts,
  readAttribute,
  type ReadResult,
  type ReportProblem,
} from "./attribute_reader.ts";
import type { VolumeAttributes } from "./volume_attributes.ts";

const keySizes: Readonly<Record<string, Readonly<Record<string, KeyAlgorithm>>>> = {
  ecdsa: { "256": "ecdsa-p256", "384": "ecdsa-p384" },
  rsa: { "2048": "rsa-2048", "3072": "rsa-3072", "4096": "rsa-4096" },
  ed25519: {},
};

/** `key-algorithm`, `key-size` and `reuse-private-key`. */
export function readKeyAttributes(
  values: AttributeTexts,
  report: ReportProblem,
): Pick<VolumeAttributes, "keyAlgorithm" | "reusePrivateKey"> {
  const reuse = readAttribute(values, "reuse-private-key", report, readBoolean) ?? false;
  return { keyAlgorithm: readKeyAlgorithm(values, report), reusePrivateKey: reuse };
}

function readKeyAlgorithm(values: AttributeTexts, report: ReportProblem): KeyAlgorithm {
  const fallback: KeyAlgorithm = "ecdsa-p256";
  const family = values.has("key-algorithm") ? values.get("key-algorithm") : "ecdsa";
  if (family === undefined) return fallback;
  const sizes = Object.hasOwn(keySizes, family) ? keySizes[family] : undefined;
  if (sizes === undefined) {
    report("key-algorithm", family, `one of ${Object.keys(keySizes).join(", ")}`);
    return fallback;
  }
  const size = values.get("key-size");
  const familyDefault = Object.values(sizes)[0] ?? "ed25519";
  if (size === undefined) return familyDefault;
  const algorithm = Object.hasOwn(sizes, size) ? sizes[size] : undefined;
  if (algorithm === undefined) report("key-size", size, expectedSize(family, values));
  return algorithm ?? familyDefault;
}

function expectedSize(family: string, values: AttributeTexts): string {
  const sizes = Object.keys(keySizes[family] ?? {});
  if (sizes.length === 0) return `to be left out: ${family} keys come in one size`;
  const hint = values.has("key-algorithm") ? "" : " (the default; rsa needs key-algorithm: rsa)";
  return `one of ${sizes.join(", ")} for ${family}${hint}`;
}

function readBoolean(text: string): ReadResult<boolean> {
  if (text === "true" || text === "false") return { value: text === "true" };
  return { expected: 'true or false (in quotes in YAML: "true")' };
}
