/**
 * An element of DER (X.690) that is not written yet. All lengths are known before the first byte is
 * written, so the element is written once, and nothing is copied from level to level.
 */
export interface DerNode {
  readonly tag: number;
  readonly parts: readonly DerPart[];
  /** Bytes of the content. */
  readonly length: number;
}

/** What content is made of: bytes as they are, characters of ASCII, and elements. */
export type DerPart = Uint8Array | string | DerNode;

/** One element whose content is the parts, one after the other. */
export function element(tag: number, ...parts: readonly DerPart[]): DerNode {
  let length = 0;
  for (const part of parts) length += sizeOf(part);
  // The longest thing written here is a request of 8 KiB.
  if (length > 0xffff) throw new RangeError(`DER of ${length} bytes is not written here`);
  return { tag, parts, length };
}

export function derSequence(...parts: readonly DerPart[]): DerNode {
  return element(0x30, ...parts);
}

/** The bytes of an element. */
export function encodeDer(element: DerNode): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(sizeOf(element));
  write(element, bytes, 0);
  return bytes;
}

/** Writes at an offset; returns the offset after it. */
function write(part: DerPart, bytes: Uint8Array, at: number): number {
  if (typeof part === "string") {
    for (let index = 0; index < part.length; index++) bytes[at + index] = part.charCodeAt(index);
    return at + part.length;
  }
  if (part instanceof Uint8Array) {
    bytes.set(part, at);
    return at + part.length;
  }
  const { tag, length, parts } = part;
  bytes[at++] = tag;
  if (length >= 0x100) {
    bytes[at++] = 0x82;
    bytes[at++] = length >> 8;
  } else if (length >= 0x80) bytes[at++] = 0x81;
  bytes[at++] = length & 0xff;
  for (const inner of parts) at = write(inner, bytes, at);
  return at;
}

function sizeOf(part: DerPart): number {
  if (typeof part === "string" || part instanceof Uint8Array) return part.length;
  return part.length + (part.length < 0x80 ? 2 : part.length < 0x100 ? 3 : 4);
}

/** An INTEGER of a number that is given as bytes without a sign, the most significant first. */
export function derUnsignedInteger(bytes: Uint8Array): DerNode {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start++;
  const digits = bytes.subarray(start);
  return (digits[0] ?? 0) < 0x80 && digits.length > 0
    ? element(0x02, digits)
    : element(0x02, zero, digits);
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function derObjectIdentifier(dotted: string): DerNode {
  const [first = 0, second = 0, ...others] = dotted.split(".").map(Number);
  return element(0x06, Uint8Array.from([first * 40 + second, ...others].flatMap(base128)));
}

/** A BIT STRING of whole bytes. */
export function derBitString(bytes: Uint8Array): DerNode {
  return element(0x03, zero, bytes);
}

export function derUtf8String(text: string): DerNode {
  return element(0x0c, isAscii(text) ? text : encoder.encode(text));
}

/** Characters of ASCII under a tag; throws a TypeError for others, which have no place in an IA5String. */
export function derAsciiString(tag: number, text: string): DerNode {
  if (!isAscii(text)) throw new TypeError(`"${text}" is not ASCII`);
  return element(tag, text);
}

/** A Time (RFC 5280, 4.1.2.5): UTCTime to 2049, GeneralizedTime after; fractions of seconds are cut off. */
export function derTime(at: Temporal.Instant): DerNode {
  const text = new Date(at.epochMilliseconds).toISOString().slice(0, 19).replace(/[-T:]/g, "");
  const isShort = text >= "1950" && text < "2050";
  return derAsciiString(isShort ? 0x17 : 0x18, `${isShort ? text.slice(2) : text}Z`);
}

const zero = Uint8Array.of(0);
const encoder = new TextEncoder();

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** An arc of an object identifier in groups of seven bits. */
function base128(arc: number): number[] {
  const groups = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
    groups.unshift(rest % 128 + 128);
  }
  return groups;
}
