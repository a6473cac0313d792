/**
 * The policy file: YAML that states what namespaces may have in addition to the default.
 *
 *     rules:
 *       - namespaces: [shop, "team-*"]          # names, or the start of names followed by *
 *         dnsNames: ["*.shop.example.com"]      # * matches exactly one label
 *         uris: ["https://shop.example.com/*"]  # * matches exactly one segment of the path
 *         ipRanges: [10.0.0.0/8]
 *         organizationalUnits: [Payments]       # or "*" for any
 *         maxValidity: 2160h
 *         keyAlgorithms: [ecdsa-p256, rsa-4096]
 *         bareNames: false                      # whether the pod's name alone is granted [true]
 *         shortNames: false                     # whether LABEL.NAMESPACE is granted
 *         annotations: true                     # whether templates may use annotations [false]
 *
 * All rules that match a namespace apply: their lists are joined, and of keyAlgorithms and the single
 * values the last rule that states one applies.
 */
import { LineCounter, type Node, type ParsedNode, parseDocument, type YAMLMap } from "yaml";
import { isMap, isScalar, isSeq } from "yaml";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { validityFormat } from "../../shared/text/durations.ts";
import {
  isOrganizationalUnit,
  organizationalUnitSyntax,
} from "../../shared/attributes/name_attributes.ts";
import { keyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import { parseDnsPattern } from "./dns_rules.ts";
import { isNamespacePattern } from "./effective_policy.ts";
import { parseIpRange } from "./ip_ranges.ts";
import type { PolicyRule } from "./policy.ts";
import { parseUriPattern } from "./uri_rules.ts";

/** What a field accepts: in words, and as a parser that returns undefined for anything else. */
interface Format<T> {
  readonly expected: string;
  readonly parse: (value: unknown) => T | undefined;
}

/** A ConfigMap holds at most 1 MiB. */
const maxFileCharacters = 1_048_576;

const text = <T>(parse: (text: string) => T | undefined) => (value: unknown) =>
  typeof value === "string" ? parse(value) : undefined;
const boolean: Format<boolean> = {
  expected: "true or false",
  parse: (value) => typeof value === "boolean" ? value : undefined,
};

const lists = {
  namespaces: {
    expected: 'the name of a namespace, the start of one and "*" ("team-*"), or "*" for all',
    parse: text((value) => isNamespacePattern(value) ? value : undefined),
  },
  dnsNames: {
    expected:
      "a DNS name in lower case, in which * can replace whole labels if two more labels follow",
    parse: text(parseDnsPattern),
  },
  uris: {
    expected: "an absolute URI, in which * can replace whole segments of the path",
    parse: text(parseUriPattern),
  },
  ipRanges: {
    expected: "a CIDR range such as 10.0.0.0/8, with no bits set after the prefix",
    parse: text(parseIpRange),
  },
  organizationalUnits: {
    expected: `${organizationalUnitSyntax}, or "*"`,
    parse: text((value) => value === "*" || isOrganizationalUnit(value) ? value : undefined),
  },
  keyAlgorithms: {
    expected: `one of ${keyAlgorithms.join(", ")}`,
    parse: (value: unknown) => keyAlgorithms.find((algorithm) => algorithm === value),
  },
} satisfies Record<string, Format<unknown>>;

const singles = {
  maxValidity: { expected: validityFormat.expected, parse: text(validityFormat.parse) },
  bareNames: boolean,
  shortNames: boolean,
  annotations: boolean,
} satisfies Record<string, Format<unknown>>;

const ruleKeys = [...Object.keys(lists), ...Object.keys(singles)];

/** Reads the text of a policy file, or reports every problem with its line. */
export function parsePolicyFile(
  text: string,
): /** `lines` has the line on which each rule begins. */
| { kind: "rules"; rules: PolicyRule[]; lines: number[] }
| { kind: "refused"; problems: string[] } {
  if (text.length > maxFileCharacters) {
    return { kind: "refused", problems: [`has over ${maxFileCharacters} characters`] };
  }
  const reader = new PolicyFileReader(text);
  const rules = reader.rules();
  return reader.problems.length > 0
    ? { kind: "refused", problems: reader.problems }
    : { kind: "rules", rules, lines: reader.ruleLines };
}

class PolicyFileReader {
  readonly problems: string[] = [];
  readonly ruleLines: number[] = [];
  readonly #lines = new LineCounter();
  readonly #root: ParsedNode | null;

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const { pos: [start], message } of [...document.errors, ...document.warnings]) {
      this.problems.push(`line ${this.#lineAt(start)}: ${message}`);
    }
    this.#root = this.problems.length > 0 ? null : document.contents;
    if (this.#root === null && this.problems.length === 0) {
      this.problems.push('line 1: empty; expected a mapping with "rules"');
    }
  }

  rules(): PolicyRule[] {
    if (this.#root === null) return [];
    const root = this.#fields(this.#root, "the file", ["rules"]);
    const rules = root?.get("rules");
    if (root && !rules) this.#reject(this.#root, 'has no "rules"', 'a list under "rules"');
    return rules ? this.#items(rules, "rules", (rule) => this.#rule(rule)) : [];
  }

  #rule(node: Node): PolicyRule | undefined {
    const fields = this.#fields(node, "a rule", ruleKeys);
    if (fields === undefined) return undefined;
    this.ruleLines.push(this.#lineAt(node.range?.[0] ?? 0));
    if (!fields.has("namespaces")) {
      this.#reject(node, 'a rule without "namespaces"', 'a list of them, or ["*"] for all');
    }
    const list = <T>(key: string, format: Format<T>): T[] => {
      const value = fields.get(key);
      return value ? this.#items(value, key, (item) => this.#value(item, key, format)) : [];
    };
    const single = <T>(key: string, format: Format<T>): T | undefined => {
      const value = fields.get(key);
      return value && this.#value(value, key, format);
    };
    const maxValidity = single("maxValidity", singles.maxValidity);
    const bareNames = single("bareNames", singles.bareNames);
    const shortNames = single("shortNames", singles.shortNames);
    const annotations = single("annotations", singles.annotations);
    return {
      namespaces: list("namespaces", lists.namespaces),
      dnsNames: list("dnsNames", lists.dnsNames),
      uris: list("uris", lists.uris),
      ipRanges: list("ipRanges", lists.ipRanges),
      organizationalUnits: list("organizationalUnits", lists.organizationalUnits),
      ...(fields.has("keyAlgorithms")
        ? { keyAlgorithms: list("keyAlgorithms", lists.keyAlgorithms) }
        : {}),
      ...(maxValidity === undefined ? {} : { maxValidity }),
      ...(bareNames === undefined ? {} : { bareNames }),
      ...(shortNames === undefined ? {} : { shortNames }),
      ...(annotations === undefined ? {} : { annotations }),
    };
  }

  /** A mapping's values by key. For another node reports a problem, and returns undefined. */
  #fields(node: Node, what: string, keys: readonly string[]): Map<string, Node> | undefined {
    if (!isMap(node)) {
      this.#reject(node, `${what} is not a mapping`, `a mapping with ${keys.join(", ")}`);
      return undefined;
    }
    const fields = new Map<string, Node>();
    for (const { key, value } of (node as YAMLMap<Node, Node | null>).items) {
      const name = isScalar(key) ? String(key.value) : "";
      if (!keys.includes(name)) {
        this.#reject(key, `"${abbreviate(name)}" is unknown`, `one of ${keys.join(", ")}`);
      } else if (value) fields.set(name, value);
    }
    return fields;
  }

  #items<T>(node: Node, key: string, read: (item: Node) => T | undefined): T[] {
    if (isSeq(node) && (node.items.length > 0 || key === "rules")) {
      return (node.items as Node[]).map(read).filter((item) => item !== undefined);
    }
    this.#reject(node, `${key} is not a list with at least one item`, "a list ([one, two])");
    return [];
  }

  #value<T>(node: Node, key: string, { expected, parse }: Format<T>): T | undefined {
    const value = isScalar(node) ? parse(node.value) : undefined;
    if (value === undefined) {
      const given = isScalar(node)
        ? `is "${abbreviate(String(node.value))}"`
        : "is not a single value";
      this.#reject(node, `${key} ${given}`, expected);
    }
    return value;
  }

  #reject(node: Node, problem: string, expected: string): void {
    const line = this.#lineAt(node.range?.[0] ?? 0);
    this.problems.push(`line ${line}: ${problem}; expected ${expected}`);
  }

  #lineAt(offset: number): number {
    return this.#lines.linePos(offset).line;
  }
}
