import type { DerElement } from "./der_reader.ts";

/** The dotted form of an OBJECT IDENTIFIER's content, or undefined if it is none. */
export function readObjectIdentifier(element: DerElement | undefined): string | undefined {
  if (element?.tag !== 0x06) return undefined;
  const { content } = element;
  if (content.length === 0 || (content.at(-1) ?? 0) >= 0x80) return undefined;
  const arcs: number[] = [];
  let arc = 0;
  let isFirst = true;
  for (const byte of content) {
    // A leading group of zero bits would be a second form of the same arc.
    if (isFirst && byte === 0x80) return undefined;
    arc = arc * 128 + (byte & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER / 128) return undefined;
    isFirst = byte < 0x80;
    if (isFirst) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [joint = 0, ...others] = arcs;
  const first = Math.min(2, Math.floor(joint / 40));
  return [first, joint - first * 40, ...others].join(".");
}

/** Whether an INTEGER is in its shortest form (X.690, 8.3.2). */
export function isInteger(element: DerElement | undefined): element is DerElement {
  if (element?.tag !== 0x02) return false;
  const [first, second] = element.content;
  if (first === undefined || second === undefined) return first !== undefined;
  return !(first === 0 && second < 0x80) && !(first === 0xff && second >= 0x80);
}

/** The bytes of a positive INTEGER without the one that only keeps it positive, or undefined. */
export function readUnsigned(element: DerElement | undefined): Uint8Array | undefined {
  if (!isInteger(element)) return undefined;
  const { content } = element;
  if ((content[0] ?? 0) >= 0x80) return undefined;
  return content.length > 1 && content[0] === 0 ? content.subarray(1) : content;
}

/** A BOOLEAN, which is 0 or 255 in DER, or undefined. */
export function readBoolean(element: DerElement | undefined): boolean | undefined {
  if (element?.tag !== 0x01 || element.content.length !== 1) return undefined;
  const [byte] = element.content;
  return byte === 0xff ? true : byte === 0 ? false : undefined;
}

const utcTime = /^[0-9]{12}Z$/;
const generalizedTime = /^[0-9]{14}Z$/;

/** A Time in the one form that RFC 5280, 4.1.2.5, has for each of its types, or undefined. */
export function readTime(element: DerElement | undefined): Temporal.Instant | undefined {
  if (element === undefined) return undefined;
  const text = latin1(element.content);
  let digits: string;
  if (element.tag === 0x17 && utcTime.test(text)) {
    digits = (text < "50" ? "20" : "19") + text;
  } else if (element.tag === 0x18 && generalizedTime.test(text)) digits = text;
  else return undefined;
  const [, year, month, day, hour, minute, second] = /^(.{4})(..)(..)(..)(..)(..)Z$/.exec(digits) ??
    [];
  const iso = `${year}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const ms = Date.parse(iso);
  // Neither the 30th of February nor a 60th second is carried over into another time.
  if (Number.isNaN(ms) || new Date(ms).toISOString() !== iso) return undefined;
  return Temporal.Instant.fromEpochMilliseconds(ms);
}

/** Bytes as characters of the same numbers. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
