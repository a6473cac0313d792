/** One element of DER (X.690): its tag byte, its content, and the whole of it. */
export interface DerElement {
  readonly tag: number;
  readonly content: Uint8Array;
  readonly whole: Uint8Array;
}

/**
 * The elements that fill the bytes exactly, or undefined: definite lengths in their shortest form
 * only, tags below 31 only, nothing left over. A parser of BER accepts more encodings than a
 * signature allows.
 */
export function readElements(bytes: Uint8Array): DerElement[] | undefined {
  const elements: DerElement[] = [];
  for (let start = 0; start < bytes.length;) {
    const tag = bytes[start] ?? 0;
    const header = readLength(bytes, start + 1);
    if ((tag & 0x1f) === 0x1f || header === undefined) return undefined;
    const end = header.next + header.length;
    if (end > bytes.length) return undefined;
    const content = bytes.subarray(header.next, end);
    elements.push({ tag, content, whole: bytes.subarray(start, end) });
    start = end;
  }
  return elements;
}

/** The parts of a value that is one SEQUENCE and nothing else, or undefined. */
export function readSequence(bytes: Uint8Array): DerElement[] | undefined {
  const elements = readElements(bytes);
  const [only] = elements ?? [];
  if (elements?.length !== 1 || only?.tag !== 0x30) return undefined;
  return readElements(only.content);
}

/** Whether an element is a BIT STRING of whole bytes, as keys and signatures are. */
export function isByteAlignedBitString(element: DerElement | undefined): element is DerElement {
  return element?.tag === 0x03 && element.content[0] === 0;
}

function readLength(bytes: Uint8Array, at: number): { length: number; next: number } | undefined {
  const first = bytes[at];
  if (first === undefined) return undefined;
  if (first < 0x80) return { length: first, next: at + 1 };
  const count = first & 0x7f;
  const digits = bytes.subarray(at + 1, at + 1 + count);
  // Four bytes express a longer length than any of our messages may have.
  if (count === 0 || count > 4 || digits.length < count || digits[0] === 0) return undefined;
  const length = digits.reduce((sum, digit) => sum * 256 + digit, 0);
  return length < 0x80 ? undefined : { length, next: at + 1 + count };
}

export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}
