import { abbreviate, hasUnprintable } from "./abbreviation.ts";
import { readFiles, readKey, readLifetime, type Report } from "./attribute_values.ts";
import type { KeyAlgorithm } from "./keys.ts";
import { readNames } from "./name_attributes.ts";

/** What a pod's volume asks for: the volumeAttributes, checked. */
export interface VolumeAttributes {
  /** From `duration` or `validity_days`: 10 s to 87600 h. */
  readonly duration: Temporal.Duration | undefined;
  /** Above zero and shorter than the duration, where both are given. */
  readonly renewBefore: Temporal.Duration | undefined;
  /** A DNS name of at most 64 characters, or a template of one. */
  readonly commonNameTemplate: string | undefined;
  readonly organizationalUnits: string[];
  /** DNS names, with or without "*." in front, or templates of them. */
  readonly dnsNames: string[];
  /** Canonical text. */
  readonly ipAddresses: string[];
  /** Absolute URIs, or templates of them. */
  readonly uris: string[];
  readonly keyAlgorithm: KeyAlgorithm;
  readonly reusePrivateKey: boolean;
  /** Permission bits of the files; undefined leaves them to the driver. */
  readonly fileMode: number | undefined;
  readonly certificateFile: string;
  readonly privateKeyFile: string;
  readonly caFile: string;
}

/** One thing wrong with one attribute; fit to be shown as it is. */
export interface AttributeProblem {
  /** The key as it was given, made printable. */
  readonly attribute: string;
  /** The value, made printable and cut at 60 characters. */
  readonly given: string;
  /** What is accepted. */
  readonly expected: string;
}

/** Every key that volumeAttributes may hold. */
export const knownAttributes: readonly string[] = [
  "duration",
  "validity_days",
  "renew-before",
  "cn_template",
  "organizational_units",
  "dns-names",
  "ip-sans",
  "uri-sans",
  "key-algorithm",
  "key-size",
  "reuse-private-key",
  "file-mode",
  "certificate-file",
  "privatekey-file",
  "ca-file",
];

/** Keeps what one volume can cost in memory and in a record small. */
const longestValue = 4096;

/**
 * Reads a volume's attributes, the kubelet's own keys (`csi.storage.k8s.io/…`) already taken out;
 * or names every problem there is.
 */
export function parseAttributes(
  attributes: Readonly<Record<string, string>>,
): { kind: "attributes"; attributes: VolumeAttributes } | {
  kind: "refused";
  problems: AttributeProblem[];
} {
  const problems: AttributeProblem[] = [];
  const report: Report = (attribute, given, expected) => {
    problems.push({ attribute: abbreviate(attribute), given: abbreviate(given), expected });
    return undefined;
  };
  // A value that fails here stays as undefined, so that nothing else is said about it.
  const values = new Map<string, string | undefined>();
  for (const [attribute, value] of Object.entries(attributes)) {
    const expected = misfit(attribute, value);
    if (expected !== undefined) report(attribute, value, expected);
    values.set(attribute, expected === undefined ? value : undefined);
  }
  const parsed: VolumeAttributes = {
    ...readLifetime(values, report),
    ...readNames(values, report),
    ...readKey(values, report),
    ...readFiles(values, report),
  };
  return problems.length > 0
    ? { kind: "refused", problems }
    : { kind: "attributes", attributes: parsed };
}

/** What is accepted in place of an unknown key, or of a value that no attribute takes. */
function misfit(attribute: string, value: string): string | undefined {
  if (!knownAttributes.includes(attribute)) return `one of ${knownAttributes.join(", ")}`;
  if (value.length > longestValue) return `at most ${longestValue} characters`;
  if (hasUnprintable(value)) return "printable characters only";
  if (value.trim() === "") return "a value (leave the attribute out for its default)";
  return undefined;
}
