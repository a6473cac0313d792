import { isObjectName, parseNamespacedName } from "../../shared/text/kubernetes_names.ts";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { formatPreview, previewPolicy } from "../policy/policy_preview.ts";
import type { Policy } from "../policy/policy.ts";
import { parsePolicyFile } from "../policy/policy_file.ts";

/** The pod that `check-policy` is called for. */
export interface PodArguments {
  readonly namespace: string;
  readonly name: string;
  readonly serviceAccount: string;
  readonly attributes: KeyValues;
  readonly labels?: KeyValues;
  readonly annotations?: KeyValues;
}

type KeyValues = Readonly<Record<string, string>>;

/** Reads the pod from the command line, or reports every problem. */
export function parsePodArguments(
  given: {
    readonly pod: string | undefined;
    readonly serviceAccount: string | undefined;
    readonly attributes: readonly string[];
    readonly labels?: readonly string[];
    readonly annotations?: readonly string[];
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
    problems.push(
      `--service-account is "${
        abbreviate(serviceAccount)
      }"; expected the name of a service account: ` +
        "lower-case letters, digits, - and .",
    );
  }
  const keyValues = (option: string, texts: readonly string[] = []): KeyValues =>
    Object.fromEntries(texts.flatMap((text) => {
      const at = text.indexOf("=");
      if (at >= 1) return [[text.slice(0, at), text.slice(at + 1)]];
      problems.push(`${option} is "${abbreviate(text)}"; expected KEY=VALUE`);
      return [];
    }));
  const attributes = keyValues("--attribute", given.attributes);
  const labels = keyValues("--label", given.labels);
  const annotations = keyValues("--annotation", given.annotations);
  if (pod === undefined || problems.length > 0) return { kind: "refused", problems };
  return { kind: "pod", pod: { ...pod, serviceAccount, attributes, labels, annotations } };
}

/** The certificate that a policy file grants a pod, or why it grants none. `refused`: the file is bad. */
export function checkPolicy(
  text: string,
  base: Omit<Policy, "rules">,
  { namespace, name, serviceAccount, attributes, labels = {}, annotations = {} }: PodArguments,
):
  | { kind: "granted"; text: string }
  | { kind: "denied"; text: string }
  | { kind: "refused"; problems: string[] } {
  const parsed = parsePolicyFile(text, base);
  if (parsed.kind === "refused") return parsed;
  const preview = previewPolicy({
    policy: { ...base, rules: parsed.rules },
    ruleTitles: parsed.lines.map((line) => `the rule at line ${line}`),
    // The uid is visible only in a common name that is shortened.
    pod: {
      namespace,
      name,
      serviceAccountName: serviceAccount,
      uid: "00000000-0000-0000-0000-000000000000",
      labels,
      annotations,
    },
    attributes,
  });
  const shown = `pod ${namespace}/${name}`;
  return preview.kind === "denied"
    ? { kind: "denied", text: `${shown} gets no certificate: ${preview.reason}` }
    : { kind: "granted", text: formatPreview(`${shown} gets a certificate:`, preview.lines) };
}
