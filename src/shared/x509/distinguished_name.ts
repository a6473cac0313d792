import { type DerElement, readElements, readSequence } from "../crypto/der_reader.ts";
import { latin1, readObjectIdentifier } from "../crypto/der_values.ts";
import {
  type DerNode,
  derObjectIdentifier,
  derSequence,
  derUtf8String,
  element,
  encodeDer,
} from "../crypto/der_writer.ts";

/** A Name (RFC 5280, 4.1.2.4) as it is read. */
export interface DistinguishedName {
  /** For people: "C=DE, CN=a\, b", in the order of the certificate. */
  readonly text: string;
  readonly attributes: readonly { readonly type: string; readonly value: string }[];
  /** Whether each text is in the encoding that its tag states. */
  readonly isWellEncoded: boolean;
}

export const commonName = "2.5.4.3";
export const organizationalUnit = "2.5.4.11";

/** How texts name the types of attributes; others are shown by their identifiers. */
const shortNames: Readonly<Record<string, string>> = {
  [commonName]: "CN",
  "2.5.4.7": "L",
  "2.5.4.8": "ST",
  "2.5.4.10": "O",
  [organizationalUnit]: "OU",
  "2.5.4.6": "C",
  "0.9.2342.19200300.100.1.25": "DC",
  "1.2.840.113549.1.9.1": "E",
  "2.5.4.42": "G",
  "2.5.4.43": "I",
  "2.5.4.4": "SN",
  "2.5.4.12": "T",
};

/** Reads the DER of a Name; undefined if it is none. */
export function readName(der: Uint8Array): DistinguishedName | undefined {
  const attributes: { type: string; value: string }[] = [];
  const parts: string[] = [];
  let isWellEncoded = true;
  for (const set of readSequence(der) ?? [undefined]) {
    const members = set?.tag === 0x31 ? readElements(set.content) : undefined;
    if (members === undefined || members.length === 0) return undefined;
    const shown: string[] = [];
    for (const member of members) {
      const [typeElement, valueElement, ...rest] = readSequence(member.whole) ?? [];
      const type = readObjectIdentifier(typeElement);
      if (type === undefined || valueElement === undefined || rest.length > 0) return undefined;
      const { value, isText, isWell } = readText(valueElement);
      if (!isWell) isWellEncoded = false;
      if (isText) attributes.push({ type, value });
      shown.push(`${shortNames[type] ?? type}=${isText ? escape(value) : value}`);
    }
    parts.push(shown.join("+"));
  }
  return { text: parts.join(", "), attributes, isWellEncoded };
}

/** The values of all attributes of a type. */
export function attributeValues({ attributes }: DistinguishedName, type: string): string[] {
  return attributes.filter((attribute) => attribute.type === type).map(({ value }) => value);
}

/** The DER of a Name of organizational units and a common name, all UTF8String. */
export function writeName(organizationalUnits: readonly string[], name: string) {
  return derSequence(
    ...organizationalUnits.map((unit) => rdn(organizationalUnitType, unit)),
    rdn(commonNameType, name),
  );
}

const commonNameType = encodeDer(derObjectIdentifier(commonName));
const organizationalUnitType = encodeDer(derObjectIdentifier(organizationalUnit));

function rdn(type: Uint8Array, value: string): DerNode {
  return element(0x31, derSequence(type, derUtf8String(value)));
}

/**
 * The parts of a Name in a form that is equal for names that RFC 5280, 7.1, compares as equal: without case, runs of
 * spaces and the kind of string. Undefined if the DER is no Name.
 */
export function comparableName(der: Uint8Array): string[] | undefined {
  return readSequence(der)?.map(({ content }) => {
    const members = (readElements(content) ?? []).map(({ whole }) => {
      const [typeElement, valueElement] = readSequence(whole) ?? [];
      if (valueElement === undefined) return "";
      const { value } = readText(valueElement);
      const folded = value.normalize("NFKC").toLowerCase().trim().replace(/\s+/g, " ");
      return `${readObjectIdentifier(typeElement)}=${folded}`;
    });
    return members.toSorted().join("+");
  });
}

/** The text of a DirectoryString or its relatives; anything else as hexadecimal after "#". */
function readText({ tag, content, whole }: DerElement) {
  switch (tag) {
    case 0x0c:
      return decoded(content, "utf-8");
    case 0x12: // NumericString
    case 0x13: // PrintableString
    case 0x16: // IA5String
    case 0x1a: // VisibleString
      return {
        value: latin1(content),
        isText: true,
        isWell: content.every((byte) => byte < 0x80),
      };
    case 0x14: // TeletexString, which the world uses for Latin-1
      return { value: latin1(content), isText: true, isWell: true };
    case 0x1e: // BMPString
      return decoded(content, "utf-16be");
    case 0x1c: // UniversalString
      return universal(content);
    default:
      return { value: `#${whole.toHex()}`, isText: false, isWell: true };
  }
}

function decoded(content: Uint8Array, encoding: "utf-8" | "utf-16be") {
  const options = { ignoreBOM: true };
  try {
    const value = new TextDecoder(encoding, { ...options, fatal: true }).decode(content);
    return { value, isText: true, isWell: true };
  } catch {
    const value = new TextDecoder(encoding, options).decode(content);
    return { value, isText: true, isWell: false };
  }
}

function universal(content: Uint8Array) {
  const view = new DataView(content.buffer, content.byteOffset, content.length);
  let value = "";
  let isWell = content.length % 4 === 0;
  for (let at = 0; at + 4 <= content.length; at += 4) {
    const point = view.getUint32(at);
    const isCharacter = point <= 0x10ffff && (point < 0xd800 || point > 0xdfff);
    value += isCharacter ? String.fromCodePoint(point) : "\ufffd";
    isWell &&= isCharacter;
  }
  return { value, isText: true, isWell };
}

/** As RFC 4514, 2.4, escapes. */
function escape(value: string): string {
  return value
    .replace(/[,+"\\<>;]/g, "\\$&")
    .replace(/^[ #]/, "\\$&")
    .replace(/ $/, "\\ ")
    .replace(
      /[\r\n\t]/g,
      (control) => `\\${control.charCodeAt(0).toString(16).padStart(2, "0").toUpperCase()}`,
    );
}
