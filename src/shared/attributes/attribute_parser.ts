import { abbreviate, hasUnprintable, joinProblems } from "../text/printable_text.ts";
import type { ReportProblem } from "./attribute_reader.ts";
import { readFileAttributes } from "./file_attributes.ts";
import { readKeyAttributes } from "./key_attributes.ts";
import { readLifetimeAttributes } from "./lifetime_attributes.ts";
import { readNameAttributes } from "./name_attributes.ts";
import type { AttributeProblem, ParsedAttributes } from "./volume_attributes.ts";

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

/** Further problems are only counted: a small request can have thousands. */
const mostProblems = 10;
/** Keeps what one volume can cost in memory and in a record small. */
const longestValue = 4096;

/**
 * Reads a volume's attributes, the kubelet's own keys (`csi.storage.k8s.io/…`) already taken out.
 * With a problem a new volume is rejected; one that is in use is renewed by what is understood.
 */
export function parseAttributes(attributes: Readonly<Record<string, string>>): ParsedAttributes {
  const problems: AttributeProblem[] = [];
  let unlisted = 0;
  const report: ReportProblem = (attribute, given, expected) => {
    if (problems.length === mostProblems) return void unlisted++;
    problems.push({ attribute: abbreviate(attribute), given: abbreviate(given), expected });
  };
  // A rejected value remains as undefined, so that no other problem of it is reported.
  const values = new Map<string, string | undefined>();
  for (const [attribute, value] of Object.entries(attributes)) {
    const expected = rejectionReason(attribute, value);
    if (expected !== undefined) report(attribute, value, expected);
    values.set(attribute, expected === undefined ? value : undefined);
  }
  const understood = {
    ...readLifetimeAttributes(values, report),
    ...readNameAttributes(values, report),
    ...readKeyAttributes(values, report),
    ...readFileAttributes(values, report),
  };
  return { understood, problems, unlisted };
}

/** Why a new volume with these attributes is rejected: each problem after its `field`; undefined when there is none. */
export function describeProblems(
  { problems, unlisted }: ParsedAttributes,
  field: (attribute: string) => string,
): string | undefined {
  if (problems.length === 0) return undefined;
  const texts = problems.map(({ attribute, given, expected }) =>
    `${field(attribute)}: is "${given}", expected ${expected}`
  );
  return joinProblems(texts, unlisted);
}

/** What is accepted in place of an unknown key, or of a value that no attribute takes. */
function rejectionReason(attribute: string, value: string): string | undefined {
  if (!knownAttributes.includes(attribute)) return `one of ${knownAttributes.join(", ")}`;
  if (value.length > longestValue) return `at most ${longestValue} characters`;
  if (hasUnprintable(value)) return "printable characters only";
  if (value.trim() === "") return "a value (leave the attribute out for its default)";
  return undefined;
}
