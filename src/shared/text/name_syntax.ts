/**
 * This folder reads and formats texts that people, Kubernetes and certificates contain: durations,
 * DNS names, IP addresses, URIs, printable excerpts, error messages and the product's fixed names.
 * Its main functions are `parseDnsName`, `parseIpAddress`, `parseUri`, `parseDuration` and
 * `abbreviate`. It never imports another folder, and never reads a clock, a file or the
 * environment.
 */

/** Whether a text is an RFC 1123 label: 1 to 63 lower-case letters, digits and inner hyphens. */
export function isDnsLabel(text: string): boolean {
  return /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/.test(text);
}

/** The longest common name (RFC 5280, appendix A: ub-common-name). */
export const maxCommonNameLength = 64;

/** A last label that inet_aton and the URL standard read as the end of an IPv4 address. */
const numeric = /^(?:[0-9]+|0x[0-9a-f]*)$/;

/**
 * Reads a DNS name for a subjectAltName (RFC 5280, 4.2.1.6), or undefined: lower case, at most 253
 * characters, labels of at most 63, no trailing dot, nothing that reads as an address. Names in
 * other scripts are taken as A-labels ("xn--…") only. `wildcard` admits "*." in front.
 */
export function parseDnsName(text: string, options?: { wildcard?: boolean }): string | undefined {
  if (text.length > 253) return undefined;
  const name = options?.wildcard && text.startsWith("*.") ? text.slice(2) : text;
  const labels = name.split(".");
  if (!labels.every(isDnsLabel) || numeric.test(labels.at(-1) ?? "")) {
    return undefined;
  }
  if (labels.some((part) => part.startsWith("xn--")) && !isInternationalName(name)) {
    return undefined;
  }
  return text;
}

/** Whether the A-labels decode to what encodes to the same A-labels (RFC 5891, 4.4). */
function isInternationalName(name: string): boolean {
  return URL.parse(`http://${name}/`)?.hostname === name;
}

const octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])";
const ipv4 = new RegExp(`^${octet}(?:\\.${octet}){3}$`);
const mappedIpv4 = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/;

/**
 * An IP address in canonical text (IPv6 as in RFC 5952), or undefined; numbers with leading zeros
 * and zones are refused. An IPv4-mapped IPv6 address becomes the IPv4 address that it means, so
 * that a rule about IPv4 ranges cannot be bypassed.
 */
export function parseIpAddress(text: string): string | undefined {
  if (ipv4.test(text)) return text;
  if (!/^[0-9A-Fa-f:.]{2,45}$/.test(text) || !text.includes(":")) return undefined;
  const host = URL.parse(`http://[${text}]/`)?.hostname;
  if (host === undefined) return undefined;
  const [, high, low] = mappedIpv4.exec(host) ?? [];
  if (high === undefined || low === undefined) return host.slice(1, -1);
  const [first, second] = [parseInt(high, 16), parseInt(low, 16)];
  return [first >> 8, first & 255, second >> 8, second & 255].join(".");
}

/** Whether a text is the name of a trust domain (SPIFFE-ID, 2.1). */
export function isTrustDomain(text: string): boolean {
  return /^[a-z0-9._-]{1,255}$/.test(text);
}

const uri = /^([a-z][a-z0-9+.-]*):((?:[A-Za-z0-9._~:/?@!$&'()*+,;=[\]-]|%[0-9A-Fa-f]{2})+)$/;
const authority = /^\/\/(\[[0-9A-Fa-f:.]{2,45}\]|[^:/?@[\]]*)(?::[0-9]{1,5})?([/?].*)?$/;
const spiffe = /^\/\/([^/]*)((?:\/[A-Za-z0-9._-]+)+)$/;

/**
 * Reads an absolute URI for a subjectAltName, or undefined: a lower-case scheme, no fragment, no user
 * name, at most 2048 characters, and a host that is a DNS name or an IP address if there is an
 * authority (RFC 5280, 4.2.1.6). A SPIFFE ID keeps the SPIFFE-ID rules (section 2) and has a path,
 * as a leaf's must.
 */
export function parseUri(text: string): string | undefined {
  if (text.length > 2048) return undefined;
  const [, scheme, rest = ""] = uri.exec(text) ?? [];
  if (scheme === undefined) return undefined;
  if (scheme === "spiffe") {
    const [, trustDomain = "", path] = spiffe.exec(rest) ?? [];
    const segments = path?.split("/");
    if (!segments || !isTrustDomain(trustDomain)) return undefined;
    return segments.some((one) => one === "." || one === "..") ? undefined : text;
  }
  if (!rest.startsWith("//")) return /[[\]]/.test(rest) ? undefined : text;
  const [whole, host = "", path = ""] = authority.exec(rest) ?? [];
  if (whole === undefined || /[[\]]/.test(path)) return undefined;
  const named = host.startsWith("[") ? parseIpAddress(host.slice(1, -1)) : parseDnsName(host) ??
    parseIpAddress(host);
  return named === undefined ? undefined : text;
}
