import { readElements, readSequence } from "../../shared/crypto/der_reader.ts";
import { latin1 } from "../../shared/crypto/der_values.ts";
import { type Certificate, describeCertificate } from "../../shared/x509/certificate.ts";
import { comparableName, readName } from "../../shared/x509/distinguished_name.ts";
import { extensionTypes } from "../../shared/x509/extensions.ts";
import { ipBytes } from "../../shared/x509/subject_alternative_names.ts";
import { abbreviate } from "../../shared/text/printable_text.ts";

/** The kinds of names that our leaves have; constraints on other kinds have no effect on them. */
export type NameKind = "dns" | "ip" | "uri" | "subject";

export interface Name {
  readonly kind: NameKind;
  /** A subject is DER in hexadecimal. */
  readonly value: string;
}

interface Subtree {
  readonly kind: NameKind | "other";
  readonly text: string;
  readonly content: Uint8Array;
}

/** The nameConstraints of one certificate (RFC 5280, 4.2.1.10). */
export interface NameConstraints {
  /** The certificate, as messages name it. */
  readonly of: string;
  readonly permitted: readonly Subtree[];
  readonly excluded: readonly Subtree[];
}

/** The constraints of a certificate; undefined without any, "malformed" for those that verifiers reject. */
export function readNameConstraints(
  certificate: Certificate,
): NameConstraints | "malformed" | undefined {
  const extension = certificate.extensions.get(extensionTypes.nameConstraints);
  if (extension === undefined) return undefined;
  const lists = readSequence(extension.value);
  const [first, second, ...rest] = lists ?? [];
  const isOrdered = second === undefined || (first?.tag === 0xa0 && second.tag === 0xa1);
  if (first === undefined || !isOrdered || rest.length > 0) return "malformed";
  const found: Record<number, Subtree[]> = { 0xa0: [], 0xa1: [] };
  for (const { tag, content } of lists ?? []) {
    const subtrees = readElements(content)?.map(({ whole }) => readSubtree(whole)) ?? [];
    if (!(tag in found) || subtrees.length === 0) return "malformed";
    for (const subtree of subtrees) {
      if (subtree === undefined) return "malformed";
      found[tag]?.push(subtree);
    }
  }
  const of = describeCertificate(certificate);
  return { of, permitted: found[0xa0] ?? [], excluded: found[0xa1] ?? [] };
}

/** The constraints of several certificates; a CA with constraints that are malformed is rejected elsewhere. */
export function nameConstraintsOf(certificates: readonly Certificate[]): NameConstraints[] {
  return certificates.map(readNameConstraints)
    .filter((one) => one !== undefined && one !== "malformed");
}

const kinds: Readonly<Record<number, NameKind>> = {
  0x82: "dns",
  0x86: "uri",
  0x87: "ip",
  0xa4: "subject",
};

/** RFC 5280 has no minimum but 0, which DER omits, and no maximum. */
function readSubtree(der: Uint8Array): Subtree | undefined {
  const [base, ...bounds] = readSequence(der) ?? [];
  if (base === undefined || bounds.length > 0) return undefined;
  const kind = kinds[base.tag] ?? "other";
  const { content } = base;
  if (kind === "ip" && content.length !== 8 && content.length !== 32) return undefined;
  if (kind === "subject") {
    const name = readName(content);
    return name && { kind, text: name.text, content };
  }
  const text = kind === "ip" ? rangeText(content) : latin1(content).toLowerCase();
  return { kind, text, content };
}

/** Why the constraints do not allow a name, in words that follow it; undefined when they do. */
export function outsideReason(
  constraints: readonly NameConstraints[],
  name: Name,
): string | undefined {
  for (const { of, permitted, excluded } of constraints) {
    const forbids = excluded.filter(({ kind }) => kind === name.kind)
      .find((subtree) => overlaps(name, subtree));
    if (forbids) return `is excluded by the name constraints of ${of} (${describe([forbids])})`;
    const allowed = permitted.filter(({ kind }) => kind === name.kind);
    if (allowed.length > 0 && !allowed.some((subtree) => isWithin(name, subtree))) {
      return `is outside the name constraints of ${of}, which permit only ${describe(allowed)}`;
    }
  }
}

const kindTexts: Readonly<Record<Subtree["kind"], string>> = {
  dns: "DNS",
  ip: "IP",
  uri: "URI",
  subject: "directory name",
  other: "other",
};

function describe(subtrees: readonly Subtree[]): string {
  const texts = subtrees.slice(0, 4).map(({ kind, text }) =>
    `${kindTexts[kind]} "${abbreviate(text)}"`
  );
  return [...texts, ...(subtrees.length > 4 ? [`${subtrees.length - 4} more`] : [])].join(", ");
}

function isWithin({ kind, value }: Name, { text, content }: Subtree): boolean {
  switch (kind) {
    case "dns":
      return isDnsWithin(value.replace(/^\*\./, ""), text);
    case "ip":
      return isIpWithin(ipBytes(value), content);
    case "uri":
      return isUriWithin(value, text);
    case "subject":
      return isDirectoryWithin(Uint8Array.fromHex(value), content);
    default:
      return kind satisfies never;
  }
}

/**
 * Also true for what cannot be compared: verifiers have to reject it (RFC 5280, 4.2.1.10). An empty base of URIs means
 * every host to Go and none to OpenSSL.
 */
function overlaps(name: Name, subtree: Subtree): boolean {
  if (name.kind === "uri" && (subtree.text === "" || uriHost(name.value) === undefined)) {
    return true;
  }
  const isWildcard = name.kind === "dns" && name.value.startsWith("*.");
  // A wildcard covers a name of the excluded subtree when that is one label below it.
  return isWithin(name, subtree) || (isWildcard && isDnsWithin(subtree.text, name.value.slice(2)));
}

/** Any number of labels may be added in front; a leading dot, which verifiers accept, demands one. */
function isDnsWithin(name: string, base: string): boolean {
  if (base === "") return true;
  if (base.startsWith(".")) return name.endsWith(base);
  return name === base || name.endsWith(`.${base}`);
}

function isIpWithin(address: Uint8Array, range: Uint8Array): boolean {
  if (range.length !== 2 * address.length) return false;
  return address.every((byte, at) => {
    const mask = range[address.length + at] ?? 0;
    return (byte & mask) === ((range[at] ?? 0) & mask);
  });
}

/** A base with a leading dot means every host below it, one without it that host alone. */
function isUriWithin(uri: string, base: string): boolean {
  const host = uriHost(uri);
  if (host === undefined) return false;
  return base.startsWith(".") ? host.endsWith(base) : host === base;
}

/** The host of a URI; undefined where it has none, or an IP address, which no constraint can permit. */
function uriHost(uri: string): string | undefined {
  const [, host] = /^[^:]+:\/\/([^/?:[\]]+)/.exec(uri) ?? [];
  return host === undefined || /^[0-9.]+$/.test(host) ? undefined : host.toLowerCase();
}

/** Whether a name begins with all parts of the base. */
function isDirectoryWithin(name: Uint8Array, base: Uint8Array): boolean {
  const [parts, bases] = [comparableName(name), comparableName(base)];
  return bases !== undefined && parts !== undefined && bases.length <= parts.length &&
    bases.every((part, at) => part === parts[at]);
}

function rangeText(content: Uint8Array): string {
  const half = content.length / 2;
  const part = (bytes: Uint8Array) =>
    half === 4 ? bytes.join(".") : bytes.toHex().replace(/(.{4})(?=.)/g, "$1:");
  return `${part(content.subarray(0, half))}/${part(content.subarray(half))}`;
}
