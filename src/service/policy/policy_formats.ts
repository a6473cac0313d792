import {
  isOrganizationalUnit,
  organizationalUnitSyntax,
} from "../../shared/attributes/name_attributes.ts";
import { keyAlgorithms } from "../../shared/crypto/key_algorithm.ts";
import { validityFormat } from "../../shared/text/durations.ts";
import { parseIpAddress } from "../../shared/text/name_syntax.ts";
import { isTypo } from "../../shared/text/typing_errors.ts";
import { parseDnsPattern } from "./dns_rules.ts";
import { isNamespacePattern } from "./effective_policy.ts";
import { parseIpRange } from "./ip_ranges.ts";
import { parseUriPattern } from "./uri_rules.ts";

/** What a key accepts: in words, and as a parser that returns undefined for anything else. */
export interface Format<T> {
  readonly expected: string;
  readonly parse: (value: unknown) => T | undefined;
  /** What a value that is not accepted was probably meant to be. */
  readonly suggest?: (text: string) => string | undefined;
  /** Whether the key accepts "*" in place of a list. */
  readonly acceptsAll?: boolean;
}

const text = <T>(parse: (text: string) => T | undefined) => (value: unknown) =>
  typeof value === "string" ? parse(value) : undefined;

/** Suggests the text in the form that names have, where that is accepted. */
const corrected = (accepts: (text: string) => unknown) => (text: string): string | undefined => {
  const name = text.trim().toLowerCase().replace(/\.$/, "").replace(/^\./, "*.");
  return accepts(name) ? name : undefined;
};

const words = new Map([["true", true], ["yes", true], ["on", true], ["y", true]])
  .set("false", false).set("no", false).set("off", false).set("n", false);

const boolean: Format<boolean> = {
  expected: "true or false, without quotes",
  parse: (value) => typeof value === "boolean" ? value : undefined,
  suggest: (text) => words.get(text.toLowerCase())?.toString(),
};

const validity: Format<Temporal.Duration> = {
  expected: validityFormat.expected,
  parse: text(validityFormat.parse),
  suggest: (text) => {
    const [, count, unit] = /^([0-9]{1,6})(d?)$/.exec(text) ?? [];
    const suggested = unit === "d" ? `${Number(count) * 24}h` : `${count}s`;
    return validityFormat.parse(suggested) && suggested;
  },
};

export const lists = {
  namespaces: {
    expected: 'the name of a namespace, the start of one and "*" ("team-*"), or "*" for all',
    parse: text((value) => isNamespacePattern(value) ? value : undefined),
    suggest: corrected(isNamespacePattern),
    acceptsAll: true,
  },
  dnsNames: {
    expected:
      "a DNS name in lower case, in which * can replace whole labels if two more labels follow",
    parse: text(parseDnsPattern),
    suggest: corrected(parseDnsPattern),
  },
  uris: {
    expected: "an absolute URI, in which * can replace whole segments of the path",
    parse: text(parseUriPattern),
  },
  ipRanges: {
    expected: "a CIDR range such as 10.0.0.0/8, with no bits set after the prefix",
    parse: text(parseIpRange),
    suggest: (text: string) => {
      const address = parseIpAddress(text);
      return address && `${address}/${address.includes(":") ? 128 : 32}`;
    },
  },
  organizationalUnits: {
    expected: `${organizationalUnitSyntax}, or "*" for any`,
    parse: text((value) => value === "*" || isOrganizationalUnit(value) ? value : undefined),
    acceptsAll: true,
  },
  keyAlgorithms: {
    expected: `one of ${keyAlgorithms.join(", ")}`,
    parse: (value: unknown) => keyAlgorithms.find((algorithm) => algorithm === value),
    suggest: (text: string) => similarWord(text, keyAlgorithms),
  },
} satisfies Record<string, Format<unknown>>;

export const singles = {
  maxValidity: validity,
  minValidity: validity,
  bareNames: boolean,
  shortNames: boolean,
  annotations: boolean,
  podCertificates: boolean,
} satisfies Record<string, Format<unknown>>;

export const ruleKeys: readonly string[] = [...Object.keys(lists), ...Object.keys(singles)];

/** The word that a text with a typing error, or in another spelling, is meant to be. */
export function similarWord(text: string, known: readonly string[]): string | undefined {
  const plain = (word: string) => word.toLowerCase().replaceAll(/[-_ ]/g, "");
  return known.find((word) => plain(word) === plain(text)) ??
    known.find((word) => isTypo(plain(text), plain(word)));
}
