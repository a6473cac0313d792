import { joinProblems } from "../../shared/text/printable_text.ts";
import type { RequestedNames } from "../policy/requested_names.ts";
import type { OutsideName } from "../x509/ca_names.ts";

/** The names that a pod has by default and its volume does not ask for: they are left out where the CA cannot certify them. */
export function optionalDnsNames({ defaults, dnsNames, commonName }: RequestedNames): Set<string> {
  const asked = new Set([
    ...dnsNames,
    ...(commonName === defaults.commonName ? [] : [commonName]),
  ]);
  return new Set(
    [defaults.fullName, defaults.bareName]
      .filter((name) => name !== undefined && !asked.has(name)) as string[],
  );
}

/** Why a certificate is denied whose names the CA cannot certify: each name with its attribute and the constraint. */
export function outsideDenial(
  outside: readonly OutsideName[],
  { commonName, defaults, organizationalUnits }: RequestedNames,
): string {
  const attributeOf = ({ kind, name }: OutsideName): string => {
    switch (kind) {
      case "dns":
        if (name !== commonName) return "dns-names";
        return name === defaults.commonName ? "the pod's own name" : "cn_template";
      case "ip":
        return "ip-sans";
      case "uri":
        return "uri-sans";
      case "subject":
        return organizationalUnits.length > 0 ? "organizational_units: the subject" : "the subject";
      default:
        return kind satisfies never;
    }
  };
  const problems = outside.map((one) => `${attributeOf(one)} "${one.name}" ${one.reason}`);
  return `the CA cannot certify it: ${joinProblems(problems)}`;
}
