/** How a text is written. What is mostly hexadecimal digits takes half the room as binary. */
const forms = { text: 0, digits: 1, uuid: 2, volume: 3 };
const volumePrefix = "csi-";
const hyphen = 45;
/** The values of lower-case digits by their codes: a table, because a branch is guessed wrong half of the time. */
const values = new Int8Array(128).fill(-1);
for (const [value, character] of [..."0123456789abcdef"].entries()) {
  values[character.charCodeAt(0)] = value;
}
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Writes one row after the other into the same bytes. */
export class RowWriter {
  bytes = new Uint8Array(1024);
  length = 0;

  clear(): void {
    this.length = 0;
  }

  /** A whole number from 0, below 2 ** 53. */
  number(value: number): void {
    this.#reserve(8);
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) {
      this.bytes[this.length++] = 128 + rest % 128;
    }
    this.bytes[this.length++] = rest;
  }

  text(text: string): void {
    const start = this.length;
    this.number(text.length);
    this.#reserve(text.length);
    const { bytes, length } = this;
    for (let index = 0; index < text.length; index++) {
      const code = text.charCodeAt(index);
      if (code > 127) return this.#encoded(start, text);
      bytes[length + index] = code;
    }
    this.length += text.length;
  }

  /** A text that is a serial number, a uid or a kubelet's id of a volume in nearly all cases. */
  digits(text: string): void {
    const isUuid = text.length === 36 && text.charCodeAt(8) === hyphen;
    const from = text.startsWith(volumePrefix) ? volumePrefix.length : 0;
    const start = this.length;
    this.number(isUuid ? forms.uuid : from > 0 ? forms.volume : forms.digits);
    this.number(isUuid ? 16 : (text.length - from) >>> 1);
    if (this.#pairs(text, from, isUuid)) return;
    this.length = start;
    this.number(forms.text);
    this.text(text);
  }

  /** Whether it was nothing but pairs of digits. */
  #pairs(text: string, from: number, isUuid: boolean): boolean {
    this.#reserve(text.length);
    let index = from;
    while (index < text.length) {
      if (isUuid && (index === 8 || index === 13 || index === 18 || index === 23)) {
        if (text.charCodeAt(index++) !== hyphen) return false;
      }
      const high = values[text.charCodeAt(index++)] ?? -1;
      const low = values[text.charCodeAt(index++)] ?? -1;
      if ((high | low) < 0) return false;
      this.bytes[this.length++] = high * 16 + low;
    }
    return true;
  }

  #encoded(start: number, text: string): void {
    const encoded = encoder.encode(text);
    this.length = start;
    this.number(encoded.length);
    this.#reserve(encoded.length);
    this.bytes.set(encoded, this.length);
    this.length += encoded.length;
  }

  #reserve(count: number): void {
    if (this.length + count <= this.bytes.length) return;
    const more = new Uint8Array(2 * (this.length + count));
    more.set(this.bytes);
    this.bytes = more;
  }
}

/** Reads what a RowWriter wrote, in the same order. */
export class RowReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  number(): number {
    let value = 0;
    for (let scale = 1;; scale *= 128) {
      const byte = this.#bytes[this.#at++] ?? 0;
      value += byte % 128 * scale;
      if (byte < 128) return value;
    }
  }

  text(): string {
    return decoder.decode(this.#take(this.number()));
  }

  digits(): string {
    const form = this.number();
    if (form === forms.text) return this.text();
    const digits = this.#take(this.number()).toHex();
    if (form === forms.volume) return volumePrefix + digits;
    return form === forms.digits
      ? digits
      : digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  #take(length: number): Uint8Array {
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}
