import {
  create,
  type DescField,
  type DescMessage,
  fromBinary,
  type MessageInitShape,
  type MessageShape,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import { errorMessage } from "../text/error_message.ts";

const utf8 = new TextDecoder("utf-8", { fatal: true });
const lenient = new TextDecoder();
/** The decoder's own limit. */
const deepest = 100;
/**
 * The most fields of a message itself, those inside its parts not counted: several times what any of
 * ours has. 256 KiB can hold 131,072 empty entries, whose decoding holds the event loop for seconds.
 */
const mostFields = 1_024;

/** The result of decoding bytes from the wire. */
export type DecodeResult<D extends DescMessage> =
  | { kind: "message"; message: MessageShape<D> }
  | { kind: "refused"; problem: string };

/** Decodes a message; for text that is not UTF-8, which protobuf forbids, the problem names the field. */
export function decodeMessage<D extends DescMessage>(
  schema: D,
  bytes: Uint8Array,
): DecodeResult<D> {
  if (!hasAtMost(mostFields, bytes)) {
    return { kind: "refused", problem: `the message has more than ${mostFields} fields` };
  }
  try {
    const message = fromBinary(schema, bytes, { readUnknownFields: false });
    return { kind: "message", message };
  } catch (error) {
    const field = firstBadText(schema, bytes);
    if (field !== undefined) {
      return {
        kind: "refused",
        problem: `${field} is not valid UTF-8: send text, or omit it`,
      };
    }
    const reason = errorMessage(error);
    return { kind: "refused", problem: `the bytes are not a ${schema.typeName} (${reason})` };
  }
}

/** Whether a message has at most so many fields; the decoder rejects bytes that are no message. */
function hasAtMost(limit: number, bytes: Uint8Array): boolean {
  // The shortest field has two bytes.
  if (bytes.length <= 2 * limit) return true;
  const reader = new BinaryReader(bytes);
  try {
    for (let count = 0; reader.pos < reader.len; count++) {
      if (count === limit) return false;
      const [number, wireType] = reader.tag();
      reader.skip(wireType, number);
    }
  } catch {
    // They end early, or are no protobuf at all.
  }
  return true;
}

/** Encodes a message, or the fields it is to be made of. */
export function encodeMessage<D extends DescMessage>(schema: D, init: MessageInitShape<D>): Buffer {
  const bytes = toBinary(schema, create(schema, init));
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The decoder reports only that some text is invalid, so the bytes are read again, on this path alone. */
function firstBadText(schema: DescMessage, bytes: Uint8Array): string | undefined {
  try {
    return badText(schema, bytes, "", 0);
  } catch {
    return undefined; // The bytes end early or are no protobuf at all.
  }
}

function badText(
  schema: DescMessage,
  bytes: Uint8Array,
  prefix: string,
  depth: number,
): string | undefined {
  if (depth > deepest) return undefined;
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    const field = schema.fields.find((field) => field.number === number);
    if (field === undefined || wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, number);
      continue;
    }
    const found = badTextOf(field, reader.bytes(), prefix + field.name, depth);
    if (found !== undefined) return found;
  }
  return undefined;
}

function badTextOf(
  field: DescField,
  bytes: Uint8Array,
  path: string,
  depth: number,
): string | undefined {
  if (field.fieldKind === "map") return badTextOfEntry(field, bytes, path, depth);
  if (field.message !== undefined) return badText(field.message, bytes, `${path}.`, depth + 1);
  return field.scalar === ScalarType.STRING && !isUtf8(bytes) ? path : undefined;
}

/** A map's entry is a message: the key is field 1, the value field 2. */
function badTextOfEntry(
  field: DescField & { fieldKind: "map" },
  bytes: Uint8Array,
  path: string,
  depth: number,
): string | undefined {
  const reader = new BinaryReader(bytes);
  let key = "";
  while (reader.pos < reader.len) {
    const [number, wireType] = reader.tag();
    if (wireType !== WireType.LengthDelimited) {
      reader.skip(wireType, number);
      continue;
    }
    const part = reader.bytes();
    if (number === 1 && field.mapKey === ScalarType.STRING) {
      key = lenient.decode(part);
      if (!isUtf8(part)) return `a key of ${path}`;
    } else if (number === 2) {
      const at = `${path}[${JSON.stringify(key)}]`;
      if (field.message !== undefined) {
        const found = badText(field.message, part, `${at}.`, depth + 1);
        if (found !== undefined) return found;
      } else if (field.scalar === ScalarType.STRING && !isUtf8(part)) return at;
    }
  }
  return undefined;
}

function isUtf8(bytes: Uint8Array): boolean {
  try {
    utf8.decode(bytes);
    return true;
  } catch {
    return false;
  }
}
