/**
 * This folder serves HTTP/1.1 (RFC 9112) on our own terms: one request per connection, a deadline
 * from accept to close, bounded bytes, and caps in all and per address. `Deno.serve` has none of
 * these. Its main functions are `serveRequests` and `parseRequestHead`; its main types are
 * `RequestHead`, `HttpAnswer` and `ConnectionLimits`. It never knows what a request is for, and it
 * never logs.
 *
 * This file reads a request's head. It is pure: bytes in, a result out. It is strict where other
 * parsers are tolerant, because every pod of the cluster can reach it directly.
 */

/** What a server accepts of a request. */
export interface RequestRules {
  /** The head and the body together. */
  readonly maxBytes: number;
  /** `required`: the request states its Content-Length. `none`: it has no body. */
  readonly body: "none" | "required";
}

export interface RequestHead {
  readonly method: string;
  /** The path with its query; it begins with "/". */
  readonly target: string;
  /** By lower-case name; each name is there once. */
  readonly fields: ReadonlyMap<string, string>;
  /** Where the body begins and ends in the bytes that were given. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

export interface HttpRejection {
  readonly kind: "rejected";
  readonly status: 400 | 411 | 413;
  readonly reason: string;
}

export type RequestHeadResult =
  /** The bytes are the beginning of a request whose head is not complete. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "head"; readonly head: RequestHead }
  | HttpRejection;

const fieldName = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible ASCII, spaces and tabs: no field that is read here contains other characters. */
const fieldValue = /^[\t\x20-\x7e]*$/;
const requestLine = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
const mostFields = 32;

/** Parses the head at the beginning of the bytes; the body that follows may be incomplete. */
export function parseRequestHead(bytes: Uint8Array, rules: RequestRules): RequestHeadResult {
  const headEnd = endOfHead(bytes, rules.maxBytes);
  if (headEnd === undefined) {
    if (bytes.length >= rules.maxBytes) return tooLarge(rules);
    return isPlausibleStart(bytes) ? { kind: "incomplete" } : malformed("it is not HTTP/1.1");
  }
  const [first = "", ...lines] = textOf(bytes.subarray(0, headEnd)).split("\r\n");
  const [, method, target] = requestLine.exec(first) ?? [];
  if (method === undefined || target === undefined) {
    return malformed("its request line is malformed");
  }
  const fields = parseFields(lines);
  if (typeof fields === "string") return malformed(fields);
  const length = bodyLength(fields, rules);
  if (typeof length !== "number") return length;
  const bodyStart = headEnd + 4;
  const bodyEnd = bodyStart + length;
  if (bodyEnd > rules.maxBytes) return tooLarge(rules);
  return { kind: "head", head: { method, target, fields, bodyStart, bodyEnd } };
}

/** Where the empty line begins that ends the head. */
function endOfHead(bytes: Uint8Array, maxBytes: number): number | undefined {
  const last = Math.min(bytes.length, maxBytes) - 4;
  for (let at = bytes.indexOf(0x0d); at >= 0 && at <= last; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  }
}

/** A client that speaks another protocol, or ends lines with LF alone, gets its answer at once. */
function isPlausibleStart(bytes: Uint8Array): boolean {
  const hasBareLineFeed = bytes.some((byte, at) => byte === 0x0a && bytes[at - 1] !== 0x0d);
  return !hasBareLineFeed && /^[A-Z]{0,16}(?: |$)/.test(textOf(bytes.subarray(0, 17)));
}

/** The fields by name, or what is wrong with them. */
function parseFields(lines: readonly string[]): Map<string, string> | string {
  if (lines.length > mostFields) return `it has more than ${mostFields} header fields`;
  const fields = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(0, colon));
    const value = line.slice(colon + 1);
    if (!fieldName.test(name) || !fieldValue.test(value)) {
      return "one of its header fields is malformed";
    }
    const key = name.toLowerCase();
    // Two fields of one name would let two readers see two requests.
    if (fields.has(key)) return "one of its header fields is there twice";
    fields.set(key, value.replace(/^[ \t]+|[ \t]+$/g, ""));
  }
  if (!fields.has("host")) return "it has no header field Host";
  return fields;
}

function bodyLength(
  fields: ReadonlyMap<string, string>,
  { body }: RequestRules,
): number | HttpRejection {
  const length = fields.get("content-length");
  if (fields.has("transfer-encoding")) {
    if (length !== undefined) return malformed("it has Transfer-Encoding and Content-Length");
    return { kind: "rejected", status: 411, reason: "Transfer-Encoding is not accepted here" };
  }
  if (length === undefined) {
    if (body === "none") return 0;
    return { kind: "rejected", status: 411, reason: "the request states no Content-Length" };
  }
  if (!/^[0-9]{1,15}$/.test(length)) return malformed("its Content-Length is malformed");
  if (body === "none" && Number(length) > 0) {
    return { kind: "rejected", status: 413, reason: "a request has no body here" };
  }
  return Number(length);
}

function malformed(problem: string): HttpRejection {
  return { kind: "rejected", status: 400, reason: `the request is malformed: ${problem}` };
}

function tooLarge({ maxBytes }: RequestRules): HttpRejection {
  return { kind: "rejected", status: 413, reason: `the request is longer than ${maxBytes} bytes` };
}

/** Each byte as one character. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
