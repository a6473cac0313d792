import { isObjectName, parseNamespacedName } from "../../shared/text/kubernetes_names.ts";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { formatPreview, previewPolicy } from "../policy/policy_preview.ts";
import type { Policy } from "../policy/policy.ts";
import { parsePolicyFile, ruleLines } from "../policy/policy_file.ts";

/** What `check-policy` is asked. */
export interface PodArguments {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/** Reads the command line's words for a pod, or names each that is wrong. */
export function parsePodArguments(
  given: {
    readonly pod: string | undefined;
    readonly serviceAccount: string | undefined;
    readonly attributes: readonly string[];
  },
): { kind: "pod"; pod: PodArguments } | { kind: "refused"; problems: string[] } {
  const problems: string[] = [];
  const pod = parseNamespacedName(given.pod ?? "");
  if (pod === undefined) {
    const shown = given.pod === undefined ? "missing" : `"${abbreviate(given.pod)}"`;
    problems.push(`--pod is ${shown}; expected NAMESPACE/NAME`);
  }
  const { serviceAccount = "default" } = given;
  if (!isObjectName(serviceAccount)) {
    problems.push(`--service-account is "${abbreviate(serviceAccount)}"; expected a name`);
  }
  const attributes: Record<string, string> = {};
  for (const text of given.attributes) {
    const at = text.indexOf("=");
    if (at < 1) problems.push(`--attribute is "${abbreviate(text)}"; expected KEY=VALUE`);
    else attributes[text.slice(0, at)] = text.slice(at + 1);
  }
  if (pod === undefined || problems.length > 0) return { kind: "refused", problems };
  return { kind: "pod", pod: { ...pod, serviceAccount, attributes } };
}

/**
 * What a policy file gives a pod, as text, and whether it gives anything. `refused`: the file itself
 * is bad.
 */
export function checkPolicy(
  text: string,
  base: Omit<Policy, "rules">,
  { namespace, name, serviceAccount, attributes }: PodArguments,
):
  | { kind: "granted"; text: string }
  | { kind: "denied"; text: string }
  | { kind: "refused"; problems: string[] } {
  const parsed = parsePolicyFile(text);
  if (parsed.kind === "refused") return parsed;
  const preview = previewPolicy({
    policy: { ...base, rules: parsed.rules },
    ruleTitles: ruleLines(text).map((line) => `the rule at line ${line}`),
    // Only a common name that had to be shortened shows the uid.
    pod: {
      namespace,
      name,
      serviceAccountName: serviceAccount,
      uid: "00000000-0000-0000-0000-000000000000",
    },
    attributes,
  });
  const called = `pod ${namespace}/${name}`;
  return preview.kind === "denied"
    ? { kind: "denied", text: `${called} gets no certificate: ${preview.reason}` }
    : { kind: "granted", text: formatPreview(`${called} gets a certificate:`, preview.lines) };
}
