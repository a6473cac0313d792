import type { LogLevel, LogRecord } from "@logtape/logtape";
import { type JsonObject, type JsonValue, toJsonValue } from "./plain_value.ts";
import { redact } from "./redaction.ts";

const levelNames = {
  trace: "TRACE",
  debug: "DEBUG",
  info: "INFO ",
  warning: "WARN ",
  error: "ERROR",
  fatal: "FATAL",
} as const satisfies Record<LogLevel, string>;

/** One line for people: time, level, logger, message, and the properties that it does not show. */
export function formatTextLine(record: LogRecord, program: string): string {
  const shown = typeof record.rawMessage === "string" ? record.rawMessage : "";
  const properties = Object.entries(record.properties)
    .filter(([key, value]) => value !== undefined && !shown.includes(`{${key}}`))
    .map(([key, value]) => ` ${word(redact(key))}=${word(readable(value))}`);
  const head = `${timeOf(record)} ${levelNames[record.level]} ${loggerOf(record, program)}`;
  return oneLine(`${head}: ${messageOf(record)}${properties.join("")}`);
}

const reserved = ["time", "level", "logger", "message"];

/** One JSON object: time (RFC 3339), level, logger, message, and then the properties. */
export function formatJsonLine(record: LogRecord, program: string): string {
  const head = {
    time: timeOf(record),
    level: record.level,
    logger: loggerOf(record, program),
    message: messageOf(record),
  };
  const properties = JSON.stringify(unreserved(plainProperties(record)));
  // Two texts, because in one object a property's key that looks like a number would come first.
  const rest = properties === "{}" ? "}" : `,${properties.slice(1)}`;
  return oneLine(JSON.stringify(head).slice(0, -1) + rest);
}

function unreserved(properties: JsonObject): JsonObject {
  if (!reserved.some((key) => Object.hasOwn(properties, key))) return properties;
  return Object.fromEntries(
    Object.entries(properties).map(([key, value]) => [
      reserved.includes(key) ? `_${key}` : key,
      value,
    ]),
  );
}

function timeOf({ timestamp }: LogRecord): string {
  return new Date(timestamp).toISOString();
}

/** The category, below the program's name where the code serves several programs. */
function loggerOf({ category }: LogRecord, program: string): string {
  return (category[0] === program ? category : [program, ...category]).join(".");
}

function messageOf({ message }: LogRecord): string {
  const parts = message.map((part, index) => index % 2 === 0 ? String(part) : readable(part));
  // Whole again, because a secret may have come in parts.
  return redact(parts.join(""));
}

function plainProperties({ properties }: LogRecord): JsonObject {
  const plain = toJsonValue(properties);
  return typeof plain === "object" && plain !== null && !Array.isArray(plain) ? plain : {};
}

function readable(value: unknown): string {
  const plain = toJsonValue(value);
  if (typeof plain !== "object" || plain === null) return String(plain);
  return value instanceof Error ? errorChain(plain) : JSON.stringify(plain);
}

/** An error made plain, and what caused it. */
function errorChain(error: JsonValue): string {
  if (typeof error !== "object" || error === null || Array.isArray(error)) return String(error);
  const { name, message, cause } = error;
  if (name === undefined || message === undefined) return JSON.stringify(error);
  return `${name}: ${message}${cause === undefined ? "" : ` (cause: ${errorChain(cause)})`}`;
}

/** A value that holds blanks or quotes is quoted, so that the next key is found. */
function word(text: string): string {
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}

const lineBreaking = { "\n": "\\n", "\r": "\\r", "\t": "\\t" } as const;

/** Escapes what would end the line, move a terminal's cursor or turn the reading direction. */
function oneLine(text: string): string {
  return text.replace(
    /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu,
    (character) =>
      lineBreaking[character as keyof typeof lineBreaking] ??
        `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
