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
 *         minValidity: 30m
 *         keyAlgorithms: [ecdsa-p256, rsa-4096]
 *         bareNames: false                      # whether the pod's name alone is granted [true]
 *         shortNames: false                     # whether LABEL.NAMESPACE is granted
 *         podCertificates: false                # reserved: it has no effect yet
 *         annotations: true                     # whether templates may use annotations [false]
 *
 * All rules that match a namespace apply: their lists are joined, and of keyAlgorithms and the single
 * values the last rule that states one applies. A file with a part that can never have an effect is
 * refused. deploy/policy.schema.json describes the file for editors.
 */
import { LineCounter, type Node, type ParsedNode, parseDocument, type YAMLMap } from "yaml";
import { isMap, isScalar, isSeq } from "yaml";
import { abbreviate } from "../../shared/text/printable_text.ts";
import { findIneffectiveParts } from "./ineffective_rules.ts";
import type { Policy, PolicyRule } from "./policy.ts";
import { type Format, lists, ruleKeys, similarWord, singles } from "./policy_formats.ts";

/** A ConfigMap holds at most 1 MiB. */
const maxFileCharacters = 1_048_576;

/** Reads the text of a policy file, or reports every problem with its line and its rule's number. */
export function parsePolicyFile(
  text: string,
  /** What applies without any rule. */
  base: Omit<Policy, "rules">,
): /** `lines` has the line on which each rule begins. */
| { kind: "rules"; rules: PolicyRule[]; lines: number[] }
| { kind: "refused"; problems: string[] } {
  if (text.length > maxFileCharacters) {
    return {
      kind: "refused",
      problems: [`line 1: the file has over ${maxFileCharacters} characters`],
    };
  }
  const reader = new PolicyFileReader(text);
  const rules = reader.rules();
  if (reader.problems.length > 0) return { kind: "refused", problems: reader.problems };
  const lines = reader.ruleLines;
  const problems = findIneffectiveParts(rules, base).map(({ rule, problem, expected }) =>
    `line ${lines[rule]}, rule ${rule + 1}: ${problem}; expected ${expected}`
  );
  return problems.length > 0 ? { kind: "refused", problems } : { kind: "rules", rules, lines };
}

class PolicyFileReader {
  readonly problems: string[] = [];
  readonly ruleLines: number[] = [];
  readonly #lines = new LineCounter();
  readonly #root: ParsedNode | null;
  /** Of the rule that is being read; 0 outside of the rules. */
  #ruleNumber = 0;

  constructor(text: string) {
    const document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false });
    for (const { pos: [start], message } of [...document.errors, ...document.warnings]) {
      const [first = ""] = message;
      const reason = first.toLowerCase() + message.slice(1);
      this.problems.push(`line ${this.#lineAt(start)}: the YAML cannot be read: ${reason}`);
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
    if (!rules) return [];
    return this.#items(rules, "rules", (rule) => this.#rule(rule), { canBeEmpty: true });
  }

  #rule(node: Node): PolicyRule | undefined {
    this.#ruleNumber++;
    this.ruleLines.push(this.#lineOf(node));
    const fields = this.#fields(node, "the rule", ruleKeys);
    if (fields === undefined) return undefined;
    if (!fields.has("namespaces")) {
      this.#reject(node, 'has no "namespaces"', 'a list of them, or "*" for all');
    }
    const list = <T>(key: string, format: Format<T>): T[] | undefined => {
      const value = fields.get(key);
      const read = (item: Node) => this.#value(item, key, format);
      return value && this.#items(value, key, read, format);
    };
    const single = <T>(key: string, format: Format<T>): T | undefined => {
      const value = fields.get(key);
      return value && this.#value(value, key, format);
    };
    return {
      namespaces: list("namespaces", lists.namespaces) ?? [],
      dnsNames: list("dnsNames", lists.dnsNames) ?? [],
      uris: list("uris", lists.uris) ?? [],
      ipRanges: list("ipRanges", lists.ipRanges) ?? [],
      organizationalUnits: list("organizationalUnits", lists.organizationalUnits) ?? [],
      ...withoutUndefined({
        keyAlgorithms: list("keyAlgorithms", lists.keyAlgorithms),
        maxValidity: single("maxValidity", singles.maxValidity),
        minValidity: single("minValidity", singles.minValidity),
        bareNames: single("bareNames", singles.bareNames),
        shortNames: single("shortNames", singles.shortNames),
        annotations: single("annotations", singles.annotations),
        podCertificates: single("podCertificates", singles.podCertificates),
      }),
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
        const meant = ask(similarWord(name, keys));
        this.#reject(key, `"${abbreviate(name)}" is unknown${meant}`, `one of ${keys.join(", ")}`);
      } else if (value) fields.set(name, value);
      else this.#reject(key, `${name} has no value`, "one, or no such key");
    }
    return fields;
  }

  #items<T>(
    node: Node,
    key: string,
    read: (item: Node) => T | undefined,
    { acceptsAll, canBeEmpty }: { acceptsAll?: boolean; canBeEmpty?: boolean },
  ): T[] {
    const isAll = acceptsAll && isScalar(node) && node.value === "*";
    const items = isSeq(node) ? node.items as Node[] : isAll ? [node] : undefined;
    if (items !== undefined && (items.length > 0 || canBeEmpty)) {
      return items.map(read).filter((item) => item !== undefined);
    }
    const expected = canBeEmpty ? "a list of rules" : "a list with at least one item";
    this.#reject(
      node,
      `${key} is ${describeNonList(node)}`,
      expected + (acceptsAll ? ', or "*"' : ""),
    );
    return [];
  }

  #value<T>(node: Node, key: string, { expected, parse, suggest }: Format<T>): T | undefined {
    if (!isScalar(node)) {
      this.#reject(node, `${key} is not a single value`, expected);
      return undefined;
    }
    const value = parse(node.value);
    if (value === undefined) {
      const given = String(node.value);
      this.#reject(node, `${key} is "${abbreviate(given)}"${ask(suggest?.(given))}`, expected);
    }
    return value;
  }

  #reject(node: Node, problem: string, expected: string): void {
    const rule = this.#ruleNumber === 0 ? "" : `, rule ${this.#ruleNumber}`;
    this.problems.push(`line ${this.#lineOf(node)}${rule}: ${problem}; expected ${expected}`);
  }

  #lineOf(node: Node): number {
    return this.#lineAt(node.range?.[0] ?? 0);
  }

  #lineAt(offset: number): number {
    return this.#lines.linePos(offset).line;
  }
}

/** What stands in place of a list. */
function describeNonList(node: Node): string {
  if (isSeq(node)) return "an empty list";
  if (!isScalar(node)) return "not a list";
  const given = abbreviate(String(node.value));
  const isItem = typeof node.value === "string" && given !== "*";
  return `"${given}"${ask(isItem ? `[${given}]` : undefined)}`;
}

/** Asks whether a suggestion is meant; empty without one. */
function ask(suggestion: string | undefined): string {
  return suggestion === undefined ? "" : ` (is ${suggestion} meant?)`;
}

function withoutUndefined<T extends object>(
  values: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const stated = Object.entries(values).filter(([, value]) => value !== undefined);
  return Object.fromEntries(stated) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
