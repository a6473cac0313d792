/** One element of DER (X.690) whose content is the parts, one after the other. */
export function element(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  let length = 0;
  for (const part of parts) length += part.length;
  // The longest thing written here is a request of 8 KiB.
  if (length > 0xffff) throw new RangeError(`DER of ${length} octets is not written here`);
  const header = length < 0x80 ? 2 : length < 0x100 ? 3 : 4;
  const octets = new Uint8Array(header + length);
  octets[0] = tag;
  if (header === 2) octets[1] = length;
  else {
    octets[1] = 0x80 + header - 2;
    if (header === 4) octets[2] = length >> 8;
    octets[header - 1] = length & 0xff;
  }
  let at = header;
  for (const part of parts) {
    octets.set(part, at);
    at += part.length;
  }
  return octets;
}

export function sequence(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return element(0x30, ...parts);
}

/** An INTEGER of a number that is given as octets without a sign, the most significant first. */
export function unsignedInteger(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  let start = 0;
  while (start < octets.length - 1 && octets[start] === 0) start++;
  const digits = octets.subarray(start);
  return (digits[0] ?? 0) < 0x80 && digits.length > 0
    ? element(0x02, digits)
    : element(0x02, zero, digits);
}

/** An OBJECT IDENTIFIER from its dotted form. */
export function objectIdentifier(dotted: string): Uint8Array<ArrayBuffer> {
  const [first = 0, second = 0, ...others] = dotted.split(".").map(Number);
  return element(0x06, Uint8Array.from([first * 40 + second, ...others].flatMap(base128)));
}

/** A BIT STRING of whole octets. */
export function bitString(octets: Uint8Array): Uint8Array<ArrayBuffer> {
  return element(0x03, zero, octets);
}

export function utf8String(text: string): Uint8Array<ArrayBuffer> {
  return element(0x0c, encoder.encode(text));
}

/** Characters of ASCII under a tag; throws a TypeError for others, which have no place in an IA5String. */
export function asciiString(tag: number, text: string): Uint8Array<ArrayBuffer> {
  const octets = encoder.encode(text);
  // In UTF-8 every character that is not ASCII has octets from 0x80 on.
  if (octets.some((octet) => octet >= 0x80)) throw new TypeError(`"${text}" is not ASCII`);
  return element(tag, octets);
}

/** A Time (RFC 5280, 4.1.2.5): UTCTime to 2049, GeneralizedTime after; fractions of seconds are cut off. */
export function time(at: Temporal.Instant): Uint8Array<ArrayBuffer> {
  const text = new Date(at.epochMilliseconds).toISOString().slice(0, 19).replace(/[-T:]/g, "");
  const isShort = text >= "1950" && text < "2050";
  return asciiString(isShort ? 0x17 : 0x18, `${isShort ? text.slice(2) : text}Z`);
}

const zero = Uint8Array.of(0);
const encoder = new TextEncoder();

/** An arc of an object identifier in groups of seven bits. */
function base128(arc: number): number[] {
  const groups = [arc % 128];
  for (let rest = Math.floor(arc / 128); rest > 0; rest = Math.floor(rest / 128)) {
    groups.unshift(rest % 128 + 128);
  }
  return groups;
}
