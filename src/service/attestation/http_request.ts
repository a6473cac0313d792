/**
 * The requests of the attestation endpoint in HTTP/1.1 (RFC 9112): one per connection, with a body of
 * a stated length. Strict where other parsers are kind, because nothing stands between this one and
 * every pod of the cluster. Pure: bytes in, a result out.
 */

/** The head and the body of one request together. */
export const maxRequestBytes = 16 * 1024;

export interface RequestHead {
  readonly target: string;
  /** By lower-case name; the endpoint needs no field that can be there twice. */
  readonly fields: ReadonlyMap<string, string>;
  /** Where the body begins and ends in the bytes that were given. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

export type HttpRejection = {
  readonly kind: "rejected";
  readonly status: 400 | 411 | 413;
  readonly reason: string;
};

export type RequestHeadResult =
  /** The bytes are the beginning of a request whose head is not complete. */
  | { readonly kind: "incomplete" }
  | { readonly kind: "head"; readonly head: RequestHead }
  | HttpRejection;

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible ASCII, spaces and tabs; obs-text is in no field that is read here. */
const fieldValue = /^[\t\x20-\x7e]*$/;
const requestLine = /^([A-Z]{1,16}) (\/[\x21-\x7e]*) HTTP\/1\.1$/;
const mostFields = 32;

/** Parses the head at the beginning of the bytes; what follows it may be incomplete. */
export function parseRequestHead(bytes: Uint8Array): RequestHeadResult {
  const headEnd = endOfHead(bytes);
  if (headEnd === undefined) {
    if (bytes.length >= maxRequestBytes) return tooLarge();
    return isPlausibleStart(bytes) ? { kind: "incomplete" } : malformed("it is not HTTP/1.1");
  }
  if (headEnd + 4 > maxRequestBytes) return tooLarge();
  const [first = "", ...lines] = textOf(bytes.subarray(0, headEnd)).split("\r\n");
  const [, method, target] = requestLine.exec(first) ?? [];
  if (method === undefined || target === undefined) {
    return malformed("its request line is malformed");
  }
  const fields = parseFields(lines);
  if (typeof fields === "string") return malformed(fields);
  if (method !== "POST") return malformed("its method is not POST");
  const bodyStart = headEnd + 4;
  const length = bodyLength(fields);
  if (typeof length !== "number") return length;
  const bodyEnd = bodyStart + length;
  if (bodyEnd > maxRequestBytes) return tooLarge();
  return { kind: "head", head: { target, fields, bodyStart, bodyEnd } };
}

/** Where the empty line begins that ends the head. */
function endOfHead(bytes: Uint8Array): number | undefined {
  const last = Math.min(bytes.length, maxRequestBytes) - 4;
  for (let at = bytes.indexOf(0x0d); at >= 0 && at <= last; at = bytes.indexOf(0x0d, at + 1)) {
    if (bytes[at + 1] === 0x0a && bytes[at + 2] === 0x0d && bytes[at + 3] === 0x0a) return at;
  }
}

/** Garbage is answered at its first bytes, and a line feed of its own at once. */
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
    if (!token.test(name) || !fieldValue.test(value)) {
      return "one of its header fields is malformed";
    }
    const key = name.toLowerCase();
    // Two of one name would let two readers see two requests.
    if (fields.has(key)) return `its header field ${key} is there twice`;
    fields.set(key, value.replace(/^[ \t]+|[ \t]+$/g, ""));
  }
  if (!fields.has("host")) return "it has no header field host";
  return fields;
}

function bodyLength(fields: ReadonlyMap<string, string>): number | HttpRejection {
  const length = fields.get("content-length");
  if (fields.has("transfer-encoding")) {
    if (length !== undefined) return malformed("it has Transfer-Encoding and Content-Length");
    return { kind: "rejected", status: 411, reason: "Transfer-Encoding is not accepted here" };
  }
  if (length === undefined) {
    return { kind: "rejected", status: 411, reason: "the request states no Content-Length" };
  }
  if (!/^[0-9]{1,20}$/.test(length)) return malformed("its Content-Length is malformed");
  return Number(length);
}

function malformed(problem: string): HttpRejection {
  return { kind: "rejected", status: 400, reason: `the request is malformed: ${problem}` };
}

function tooLarge(): HttpRejection {
  const reason = `the request is longer than ${maxRequestBytes} bytes`;
  return { kind: "rejected", status: 413, reason };
}

/** Each byte as one character. */
function textOf(bytes: Uint8Array): string {
  return new TextDecoder("latin1").decode(bytes);
}
