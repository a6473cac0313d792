import { redact } from "./redaction.ts";

/** What JSON can express. */
export type JsonValue =
  | string
  | number
  | boolean
  | null
  | JsonValue[]
  | JsonObject;

export interface JsonObject {
  [key: string]: JsonValue;
}

/** What is nested deeper is left out: it is not useful in a log, and may be infinite. */
const deepest = 8;

/**
 * Any value as JSON can express it, secrets redacted: instants and durations as their text, errors as
 * name, message and causes, bytes by their number only. Never throws; undefined for undefined.
 */
export function toJsonValue(value: unknown): JsonValue | undefined {
  return plain(value, []);
}

function plain(value: unknown, above: readonly object[]): JsonValue | undefined {
  if (typeof value === "string") return redact(value);
  if (value === undefined || value === null || typeof value === "boolean") return value;
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (typeof value === "function") return `[function ${value.name}]`;
  if (typeof value !== "object") return redact(String(value));
  if (above.includes(value)) return "[circular]";
  if (above.length === deepest) return "[…]";
  try {
    return plainObject(value, [...above, value]);
  } catch {
    return "[unreadable]";
  }
}

/** Throws what the object's own accessors throw. */
function plainObject(value: object, above: readonly object[]): JsonValue | undefined {
  if (Array.isArray(value)) return value.map((item) => plain(item, above) ?? null);
  if (value instanceof Error) return plainError(value, above);
  if (Object.prototype.toString.call(value).startsWith("[object Temporal.")) return String(value);
  // Bytes may be a key, and are unreadable if they are not.
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
    return `[${value.byteLength} bytes]`;
  }
  if (value instanceof Set) return plain([...value], above);
  if (value instanceof Map) return plainEntries([...value], above);
  if ("toJSON" in value && typeof value.toJSON === "function") return plain(value.toJSON(), above);
  const entries = Object.entries(value);
  const className = value.constructor?.name;
  if (entries.length === 0 && className && className !== "Object") return `[${className}]`;
  return plainEntries(entries, above);
}

function plainError(error: Error, above: readonly object[]): JsonValue {
  const { name, message, cause } = error;
  const code = "code" in error ? error.code : undefined;
  const errors = error instanceof AggregateError ? error.errors : undefined;
  return plainEntries(Object.entries({ name, message, code, errors, cause }), above);
}

function plainEntries(
  entries: readonly (readonly [unknown, unknown])[],
  above: readonly object[],
): JsonObject {
  const object: JsonObject = {};
  for (const [key, item] of entries) {
    const value = plain(item, above);
    if (value !== undefined) set(object, redact(String(key)), value);
  }
  return object;
}

function set(object: JsonObject, key: string, value: JsonValue): void {
  if (key !== "__proto__") object[key] = value;
  // An assignment would set the prototype.
  else Object.defineProperty(object, key, { value, ...ordinary });
}

const ordinary = { writable: true, enumerable: true, configurable: true };
