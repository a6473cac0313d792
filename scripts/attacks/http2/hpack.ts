/**
 * Header compression (RFC 7541): an encoder that writes each field in the form that an attack needs,
 * never with Huffman's code, and a decoder for answers of a server whose table was set to 0 bytes.
 */
import { concat } from "./frames.ts";

export type HeaderPair = readonly [name: string, value: string | Uint8Array];

/** How a field is written: added to the table, left out of it, or forbidden to be added. */
export type LiteralForm = "indexed" | "plain" | "never";

const forms = { indexed: [0x40, 6], plain: [0x00, 4], never: [0x10, 4] } as const;
const encoder = new TextEncoder();

export function encodeHeaders(
  pairs: readonly HeaderPair[],
  form: LiteralForm = "plain",
): Uint8Array {
  return concat(...pairs.map((pair) => literal(pair, form)));
}

export function literal([name, value]: HeaderPair, form: LiteralForm = "plain"): Uint8Array {
  return concat(Uint8Array.of(forms[form][0]), text(name), text(value));
}

/** A reference to an entry of the static or the dynamic table: one byte for the most recent ones. */
export function indexed(index: number): Uint8Array {
  return integer(0x80, 7, index);
}

export function tableSizeUpdate(bytes: number): Uint8Array {
  return integer(0x20, 5, bytes);
}

/** Section 5.1; `first` contains the bits in front of the prefix. */
export function integer(first: number, prefixBits: number, value: number): Uint8Array {
  const most = 2 ** prefixBits - 1;
  if (value < most) return Uint8Array.of(first | value);
  const bytes = [first | most];
  let rest = value - most;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 | 0x80);
  bytes.push(rest);
  return Uint8Array.from(bytes);
}

function text(value: string | Uint8Array): Uint8Array {
  const bytes = typeof value === "string" ? encoder.encode(value) : value;
  return concat(integer(0x00, 7, bytes.length), bytes);
}

/** The fields of the static table that servers name in answers, by index. */
const staticNames: Readonly<Record<number, HeaderPair>> = {
  8: [":status", "200"],
  9: [":status", "204"],
  10: [":status", "206"],
  11: [":status", "304"],
  12: [":status", "400"],
  13: [":status", "404"],
  14: [":status", "500"],
  31: ["content-type", ""],
  33: ["date", ""],
  54: ["server", ""],
};

/** The fields of a block; undefined when it cannot be read, such as one that names a table's entry. */
export function decodeHeaders(block: Uint8Array): Map<string, string> | undefined {
  try {
    return new BlockReader(block).fields();
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

class BlockReader {
  readonly #block: Uint8Array;
  #at = 0;

  constructor(block: Uint8Array) {
    this.#block = block;
  }

  fields(): Map<string, string> {
    const fields = new Map<string, string>();
    while (this.#at < this.#block.length) {
      const first = this.#block[this.#at] ?? 0;
      if ((first & 0xe0) === 0x20) {
        this.#integer(5);
        continue;
      }
      if ((first & 0x80) !== 0) {
        const [name, value] = staticNames[this.#integer(7)] ?? ["", ""];
        fields.set(name, String(value));
        continue;
      }
      const index = this.#integer((first & 0x40) !== 0 ? 6 : 4);
      const name = index === 0 ? this.#text() : staticNames[index]?.[0] ?? `static ${index}`;
      fields.set(name, this.#text());
    }
    return fields;
  }

  #integer(prefixBits: number): number {
    const most = 2 ** prefixBits - 1;
    let value = this.#byte() & most;
    if (value < most) return value;
    for (let scale = 1;; scale *= 128) {
      const byte = this.#byte();
      value += (byte & 0x7f) * scale;
      if ((byte & 0x80) === 0) return value;
    }
  }

  #text(): string {
    const isHuffman = ((this.#block[this.#at] ?? 0) & 0x80) !== 0;
    const length = this.#integer(7);
    const bytes = this.#block.subarray(this.#at, this.#at + length);
    if (bytes.length < length) throw new RangeError("the block ends within a string");
    this.#at += length;
    return isHuffman ? decodeHuffman(bytes) : new TextDecoder().decode(bytes);
  }

  #byte(): number {
    const byte = this.#block[this.#at++];
    if (byte === undefined) throw new RangeError("the block ends within a field");
    return byte;
  }
}

/** Appendix B: the printable characters by the length of their code. Codes ascend in this order. */
const codeLengths: readonly (readonly [bits: number, characters: string])[] = [
  [5, "012aceiost"],
  [6, " %-./3456789=A_bdfghlmnpru"],
  [7, ":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"],
  [8, "&*,;XZ"],
  [10, '!"()?'],
  [11, "'+|"],
  [12, "#>"],
  [13, "\0$@[]~"],
  [14, "^}"],
  [15, "<`{"],
];

const huffmanCodes = canonicalCodes();

function canonicalCodes(): Map<string, string> {
  const codes = new Map<string, string>();
  let code = 0;
  let bits = 5;
  for (const [length, characters] of codeLengths) {
    code *= 2 ** (length - bits);
    bits = length;
    for (const character of characters) {
      codes.set(code.toString(2).padStart(length, "0"), character);
      code++;
    }
  }
  return codes;
}

function decodeHuffman(bytes: Uint8Array): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  let text = "";
  let code = "";
  for (const bit of bits) {
    code += bit;
    const character = huffmanCodes.get(code);
    if (character === undefined) continue;
    text += character;
    code = "";
  }
  // What remains is padding: the beginning of a code that is all ones.
  if (/0/.test(code) || code.length > 7) throw new RangeError("a string is not Huffman's code");
  return text;
}
