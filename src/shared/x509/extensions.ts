import { type DerElement, readElements, readSequence } from "../crypto/der_reader.ts";
import {
  isInteger,
  readBoolean,
  readObjectIdentifier,
  readUnsigned,
} from "../crypto/der_values.ts";
import {
  type DerNode,
  derObjectIdentifier,
  type DerPart,
  derSequence,
  element,
  encodeDer,
} from "../crypto/der_writer.ts";

/** One extension of a certificate (RFC 5280, 4.1.2.9). */
export interface Extension {
  readonly critical: boolean;
  /** DER, in the form of its type. */
  readonly value: Uint8Array;
}

/** Types of extensions, RFC 5280, 4.2.1. */
export const extensionTypes = {
  subjectKeyIdentifier: "2.5.29.14",
  keyUsage: "2.5.29.15",
  subjectAltName: "2.5.29.17",
  basicConstraints: "2.5.29.19",
  nameConstraints: "2.5.29.30",
  certificatePolicies: "2.5.29.32",
  authorityKeyIdentifier: "2.5.29.35",
  extendedKeyUsage: "2.5.29.37",
} as const;

/** Purposes of keys, RFC 5280, 4.2.1.12. */
export const keyPurposes = {
  any: "2.5.29.37.0",
  serverAuth: "1.3.6.1.5.5.7.3.1",
  clientAuth: "1.3.6.1.5.5.7.3.2",
} as const;

/** RFC 5280's names of a keyUsage's bits, in their order. */
const usages = [
  "digitalSignature",
  "nonRepudiation",
  "keyEncipherment",
  "dataEncipherment",
  "keyAgreement",
  "keyCertSign",
  "cRLSign",
  "encipherOnly",
  "decipherOnly",
] as const;

export type KeyUsage = typeof usages[number];

/** The extensions by type; undefined if they are none, or one is there twice. */
export function readExtensions(der: Uint8Array): Map<string, Extension> | undefined {
  const elements = readSequence(der);
  if (elements === undefined) return undefined;
  const extensions = new Map<string, Extension>();
  for (const { whole } of elements) {
    const [typeElement, ...others] = readSequence(whole) ?? [];
    const type = readObjectIdentifier(typeElement);
    const flag = others.length === 2 ? readBoolean(others.shift()) : false;
    const [value, ...rest] = others;
    if (type === undefined || flag === undefined || value?.tag !== 0x04 || rest.length > 0) {
      return undefined;
    }
    // One extension twice (RFC 5280, 4.2) would let two readers see two certificates.
    if (extensions.has(type)) return undefined;
    extensions.set(type, { critical: flag, value: value.content });
  }
  return extensions;
}

export function writeExtension(
  type: keyof typeof extensionTypes,
  value: DerPart,
  critical: boolean,
): DerNode {
  const octetString = element(0x04, value);
  const identifier = identifiers[type];
  return critical
    ? derSequence(identifier, yes, octetString)
    : derSequence(identifier, octetString);
}

const identifiers = Object.fromEntries(
  Object.entries(extensionTypes).map((
    [name, type],
  ) => [name, encodeDer(derObjectIdentifier(type))]),
) as Record<keyof typeof extensionTypes, Uint8Array>;

const yes = Uint8Array.of(0x01, 0x01, 0xff);

/** A basicConstraints' value, or undefined if it is none. */
export function readBasicConstraints(
  der: Uint8Array,
): { isCa: boolean; pathLength: number | undefined } | undefined {
  const elements = readSequence(der);
  if (elements === undefined) return undefined;
  const isCa = elements[0]?.tag === 0x01 ? readBoolean(elements.shift()) : false;
  const [length, ...rest] = elements;
  if (isCa === undefined || rest.length > 0) return undefined;
  if (length === undefined) return { isCa, pathLength: undefined };
  const bytes = readUnsigned(length);
  // No path is longer than six bytes can express.
  if (bytes === undefined || bytes.length > 6) return undefined;
  return { isCa, pathLength: bytes.reduce((sum, byte) => sum * 256 + byte, 0) };
}

/** A keyUsage's value as the names of its usages, or undefined if it is none. */
export function readKeyUsage(der: Uint8Array): KeyUsage[] | undefined {
  const bits = only(der, 0x03)?.content;
  const [unused, ...bytes] = bits ?? [];
  if (unused === undefined || unused > 7 || (bytes.length === 0 && unused > 0)) return undefined;
  return usages.filter((_, bit) => ((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0);
}

/** The value of a keyUsage of at least one of the first eight usages. */
export function writeKeyUsage(...names: KeyUsage[]): DerNode {
  let byte = 0;
  for (const name of names) byte |= 0x80 >> usages.indexOf(name);
  // DER omits the zeros at the end.
  const unused = 31 - Math.clz32(byte & -byte);
  return element(0x03, Uint8Array.of(unused, byte));
}

/** An extKeyUsage's purposes, or undefined if it is none. */
export function readKeyPurposes(der: Uint8Array): string[] | undefined {
  const found = readSequence(der)?.map(readObjectIdentifier);
  return found?.every((purpose) => purpose !== undefined) ? found : undefined;
}

/** A subjectKeyIdentifier's bytes, or undefined if it is none. */
export function readKeyIdentifier(der: Uint8Array): Uint8Array | undefined {
  return only(der, 0x04)?.content;
}

/** An authorityKeyIdentifier's key identifier; false if it has none, undefined if it is broken. */
export function readAuthorityKeyIdentifier(der: Uint8Array): Uint8Array | false | undefined {
  const elements = readSequence(der);
  if (elements === undefined) return undefined;
  const [first, ...rest] = elements;
  if (
    ![first, ...rest].every((part) => part === undefined || [0x80, 0xa1, 0x82].includes(part.tag))
  ) {
    return undefined;
  }
  return first?.tag === 0x80 ? first.content : false;
}

function only(der: Uint8Array, tag: number): DerElement | undefined {
  const [first, ...rest] = readElements(der) ?? [];
  return first?.tag === tag && rest.length === 0 ? first : undefined;
}

/** Whether an element is a version number, which is of one byte. */
export function isVersionNumber(element: DerElement | undefined): element is DerElement {
  return isInteger(element) && element.content.length === 1;
}
