import { Buffer } from "node:buffer";

/** More than any answer of the attestation endpoint. */
const maxBytes = 64 * 1024;
const headStart = Buffer.from("HTTP/1.1 ");
const headEnd = Buffer.from("\r\n\r\n");

export interface HttpResponse {
  readonly status: number;
  /** By lower-case name; a name that occurs more than once has its first value. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Uint8Array;
}

export type ResponseProgress =
  | { readonly kind: "incomplete" }
  | { readonly kind: "response"; readonly response: HttpResponse }
  | Malformed;

interface Head extends Omit<HttpResponse, "body"> {
  readonly kind: "head";
  readonly length: number | undefined;
}

interface Malformed {
  readonly kind: "malformed";
  readonly problem: string;
}

/**
 * Reads one HTTP/1.1 response (RFC 9112) of at most 64 KiB, as strictly as one known server allows: no interim response,
 * no transfer coding, no folded line, one Content-Length or the end of the connection.
 */
export class HttpResponseReader {
  #bytes = Buffer.alloc(0);
  #head: Head | undefined;
  #bodyStart = 0;

  push(chunk: Uint8Array): ResponseProgress {
    if (this.#bytes.length + chunk.length > maxBytes) {
      return malformed(`has more than ${maxBytes} bytes`);
    }
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    const head = this.#head ?? this.#readHead();
    if (head?.kind !== "head") return head ?? { kind: "incomplete" };
    const received = this.#bytes.length - this.#bodyStart;
    if (head.length === undefined || received < head.length) return { kind: "incomplete" };
    return received > head.length ? malformed("continues after its end") : this.#response(head);
  }

  #readHead(): Head | Malformed | undefined {
    const end = this.#bytes.indexOf(headEnd);
    // Something other than HTTP may never contain the end of a head.
    const start = this.#bytes.subarray(0, headStart.length);
    if (!headStart.subarray(0, start.length).equals(start)) return malformed("is no HTTP/1.1");
    if (end < 0) return undefined;
    const head = parseHead(this.#bytes.subarray(0, end).toString("latin1"));
    if (head.kind === "head") this.#head = head;
    this.#bodyStart = end + headEnd.length;
    return head;
  }

  /** The server has closed the connection. */
  end(): ResponseProgress {
    if (this.#head === undefined) return malformed("ended within its head");
    return this.#head.length === undefined
      ? this.#response(this.#head)
      : malformed("ended within its body");
  }

  #response({ status, headers }: Head): ResponseProgress {
    const body = this.#bytes.subarray(this.#bodyStart);
    return { kind: "response", response: { status, headers, body } };
  }
}

const statusLine = /^HTTP\/1\.1 ([2-5][0-9]{2})(?: [\t\x20-\x7e]*)?$/;
const headerLine = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*([\t\x20-\x7e]*?)[\t ]*$/;

function parseHead(text: string): Head | Malformed {
  const [first = "", ...lines] = text.split("\r\n");
  const status = Number(statusLine.exec(first)?.[1]);
  if (Number.isNaN(status)) return malformed("does not begin with an HTTP/1.1 status line");
  const headers = new Map<string, string>();
  const lengths: string[] = [];
  for (const line of lines) {
    const [, name = "", value = ""] = headerLine.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key === "") return malformed("has a header line that is none");
    if (key === "transfer-encoding") return malformed("has a transfer coding");
    if (key === "content-length") lengths.push(value);
    if (!headers.has(key)) headers.set(key, value);
  }
  const [length] = lengths;
  if (length === undefined) return { kind: "head", status, headers, length };
  if (lengths.length > 1 || !/^[0-9]{1,6}$/.test(length)) {
    return malformed("has a Content-Length that is no single number");
  }
  return { kind: "head", status, headers, length: Number(length) };
}

function malformed(problem: string): Malformed {
  return { kind: "malformed", problem: `the answer ${problem}` };
}
