/**
 * The policy file: YAML that says what namespaces may have beyond the default.
 *
 *     rules:
 *       - namespaces: [shop, "team-*"]          # names, or beginnings of names with * behind
 *         dnsNames: ["*.shop.example.com"]      # * is exactly one label
 *         uris: ["https://shop.example.com/*"]  # * is exactly one segment of the path
 *         ipRanges: [10.0.0.0/8]
 *         organizationalUnits: [Payments]       # or "*" for any
 *         maxValidity: 2160h
 *         keyAlgorithms: [ecdsa-p256, rsa-4096]
 *         bareNames: false                      # the pod's name alone, on unless switched off
 *         annotations: true                     # templates may take in annotations
 *
 * All rules that fit a namespace count: their lists add up, of each single value (the last four)
 * the last rule that states it does.
 */
import { LineCounter, type Node, type ParsedNode, parseDocument, type YAMLMap } from "yaml";
import { isMap, isScalar, isSeq } from "yaml";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { parseDuration } from "../../shared/text/durations.ts";
import { keyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import { parseDnsPattern } from "./dns_rules.ts";
import { parseIpRange } from "./ip_ranges.ts";
import type { PolicyRule } from "./policy.ts";
import { parseUriPattern } from "./uri_rules.ts";

/** A value that passes, else what is accepted in its place. */
interface Format<T> {
  readonly expected: string;
  readonly parse: (value: unknown) => T | undefined;
}

/** Far over any policy that people keep in a ConfigMap (1 MiB at most). */
const longestFile = 1_048_576;
const shortestMs = 10_000;
const longestMs = 87_600 * 3_600_000;

const text = <T>(parse: (text: string) => T | undefined) => (value: unknown) =>
  typeof value === "string" ? parse(value) : undefined;
const matching = (pattern: RegExp) => text((value) => pattern.test(value) ? value : undefined);
const boolean: Format<boolean> = {
  expected: "true or false",
  parse: (value) => typeof value === "boolean" ? value : undefined,
};

const lists = {
  namespaces: {
    expected: 'a namespace, the beginning of one with * behind ("team-*"), or "*"',
    parse: matching(/^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?|(?:[a-z0-9][a-z0-9-]{0,61})?\*)$/),
  },
  dnsNames: {
    expected: "a DNS name in lower case, in which * may stand for whole labels if two follow it",
    parse: text(parseDnsPattern),
  },
  uris: {
    expected: "an absolute URI, in which * may stand for whole segments of the path",
    parse: text(parseUriPattern),
  },
  ipRanges: {
    expected: "a CIDR range such as 10.0.0.0/8, with no bits behind the prefix",
    parse: text(parseIpRange),
  },
  organizationalUnits: {
    expected: '1 to 64 letters, digits, blanks, dots, underscores and hyphens, or "*"',
    parse: matching(/^(?:[A-Za-z0-9 ._-]{1,64}|\*)$/),
  },
  keyAlgorithms: {
    expected: `one of ${keyAlgorithms.join(", ")}`,
    parse: (value: unknown) => keyAlgorithms.find((algorithm) => algorithm === value),
  },
} satisfies Record<string, Format<unknown>>;

const singles = {
  maxValidity: {
    expected: 'a Go-style duration from 10s to 87600h, such as "2160h"',
    parse: text((value) => {
      const ms = parseDuration(value)?.total("milliseconds") ?? 0;
      return ms >= shortestMs && ms <= longestMs ? parseDuration(value) : undefined;
    }),
  },
  bareNames: boolean,
  annotations: boolean,
} satisfies Record<string, Format<unknown>>;

const ruleKeys = [...Object.keys(lists), ...Object.keys(singles)];

/** Reads a policy file's text, or names every problem with its line. */
export function parsePolicyFile(
  text: string,
): { kind: "rules"; rules: PolicyRule[] } | { kind: "refused"; problems: string[] } {
  if (text.length > longestFile) {
    return { kind: "refused", problems: [`has over ${longestFile} characters`] };
  }
  const reader = new PolicyFileReader(text);
  const rules = reader.rules();
  return reader.problems.length > 0
    ? { kind: "refused", problems: reader.problems }
    : { kind: "rules", rules };
}

/** The line that each rule of a policy file begins at. */
export function ruleLines(text: string): number[] {
  const lines = new LineCounter();
  const rules = parseDocument(text, { lineCounter: lines, prettyErrors: false }).get("rules");
  return isSeq(rules)
    ? (rules.items as Node[]).map(({ range }) => lines.linePos(range?.[0] ?? 0).line)
    : [];
}

class PolicyFileReader {
  readonly problems: string[] = [];
  readonly #lines = new LineCounter();
  readonly #root: ParsedNode | null;

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const { pos: [start], message } of [...document.errors, ...document.warnings]) {
      this.problems.push(`line ${this.#lines.linePos(start).line}: ${message}`);
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
    if (root && !rules) this.#refuse(this.#root, 'has no "rules"', 'a list under "rules"');
    return rules ? this.#items(rules, "rules", (rule) => this.#rule(rule)) : [];
  }

  #rule(node: Node): PolicyRule | undefined {
    const fields = this.#fields(node, "a rule", ruleKeys);
    if (fields === undefined) return undefined;
    if (!fields.has("namespaces")) {
      this.#refuse(node, 'a rule without "namespaces"', 'a list of them, or ["*"] for all');
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
      ...(annotations === undefined ? {} : { annotations }),
    };
  }

  /** A mapping's values by key; undefined, and the problem noted, where it is none. */
  #fields(node: Node, what: string, keys: readonly string[]): Map<string, Node> | undefined {
    if (!isMap(node)) {
      this.#refuse(node, `${what} is not a mapping`, `a mapping with ${keys.join(", ")}`);
      return undefined;
    }
    const fields = new Map<string, Node>();
    for (const { key, value } of (node as YAMLMap<Node, Node | null>).items) {
      const name = isScalar(key) ? String(key.value) : "";
      if (!keys.includes(name)) {
        this.#refuse(key, `"${abbreviate(name)}" is unknown`, `one of ${keys.join(", ")}`);
      } else if (value) fields.set(name, value);
    }
    return fields;
  }

  #items<T>(node: Node, key: string, read: (item: Node) => T | undefined): T[] {
    if (isSeq(node) && (node.items.length > 0 || key === "rules")) {
      return (node.items as Node[]).map(read).filter((item) => item !== undefined);
    }
    this.#refuse(node, `${key} is not a list of something`, "a list ([one, two])");
    return [];
  }

  #value<T>(node: Node, key: string, { expected, parse }: Format<T>): T | undefined {
    const value = isScalar(node) ? parse(node.value) : undefined;
    if (value === undefined) {
      const given = isScalar(node) ? `is "${abbreviate(String(node.value))}"` : "is no plain value";
      this.#refuse(node, `${key} ${given}`, expected);
    }
    return value;
  }

  #refuse(node: Node, problem: string, expected: string): void {
    const { line } = this.#lines.linePos(node.range?.[0] ?? 0);
    this.problems.push(`line ${line}: ${problem}; expected ${expected}`);
  }
}
