import type { VolumeAttributes } from "./volume_attributes.ts";
import {
  type AttributeTexts,
  readAttribute,
  readListAttribute,
  type ReadResult,
  type ReportProblem,
} from "./attribute_reader.ts";
import {
  maxCommonNameLength,
  parseDnsName,
  parseIpAddress,
  parseUri,
} from "../text/name_syntax.ts";
import { checkTemplate, isTemplate } from "./templates.ts";

/** `cn_template`, `organizational_units`, `dns-names`, `ip-sans` and `uri-sans`. */
export function readNameAttributes(
  values: AttributeTexts,
  report: ReportProblem,
): Pick<
  VolumeAttributes,
  "commonNameTemplate" | "organizationalUnits" | "dnsNames" | "ipAddresses" | "uris"
> {
  return {
    commonNameTemplate: readAttribute(values, "cn_template", report, readCommonName),
    organizationalUnits: readListAttribute(values, "organizational_units", 16, report, readUnit),
    dnsNames: readListAttribute(values, "dns-names", 64, report, readDnsName),
    ipAddresses: readListAttribute(values, "ip-sans", 32, report, readIpAddress),
    uris: readListAttribute(values, "uri-sans", 16, report, readUri),
  };
}

function readCommonName(text: string): ReadResult<string> {
  const problem = checkTemplate(text);
  if (problem !== undefined) return { expected: `a DNS name or a template of one: ${problem}` };
  const fits = isTemplate(text) || text.length <= maxCommonNameLength;
  if (fits && parseDnsName(sample(text))) return { value: text };
  return {
    expected: `a DNS name in lower case of at most ${maxCommonNameLength} characters, ` +
      "or a template of one",
  };
}

/** The shortest name a template can become: what is wrong with it is wrong for every pod. */
function sample(template: string): string {
  return template.replace(/\{[^{}]*\}/g, "a");
}

/** Whether a text may be an organizational unit. */
export function isOrganizationalUnit(text: string): boolean {
  return /^[A-Za-z0-9 ._-]{1,64}$/.test(text);
}

/** What `isOrganizationalUnit` accepts, in words. */
export const organizationalUnitSyntax =
  "1 to 64 letters, digits, blanks, dots, underscores and hyphens";

function readUnit(text: string): ReadResult<string> {
  return isOrganizationalUnit(text) ? { value: text } : { expected: organizationalUnitSyntax };
}

function readDnsName(text: string): ReadResult<string> {
  const problem = checkTemplate(text);
  if (problem !== undefined) return { expected: `a DNS name or a template of one: ${problem}` };
  if (parseDnsName(sample(text), { wildcard: true })) return { value: text };
  return {
    expected: "a DNS name in lower case (labels of at most 63 characters, 253 in all, " +
      'other scripts as "xn--…"), or a template of one',
  };
}

function readIpAddress(text: string): ReadResult<string> {
  const value = parseIpAddress(text);
  if (value !== undefined) return { value };
  return { expected: "an IPv4 or IPv6 address, without zone, prefix length or leading zeros" };
}

function readUri(text: string): ReadResult<string> {
  const problem = checkTemplate(text);
  if (problem !== undefined) return { expected: `a URI or a template of one: ${problem}` };
  if (isTemplate(text) || parseUri(text)) return { value: text };
  return {
    expected: 'an absolute URI such as "spiffe://cluster.local/ns/shop/sa/web", scheme and host ' +
      "in lower case, no fragment, or a template of one",
  };
}
