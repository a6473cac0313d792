/** What the endpoint answers, before it is bytes. */
export interface HttpAnswer {
  readonly status: keyof typeof reasonPhrases;
  readonly body: Readonly<Record<string, string>>;
  /** Seconds, with 429 and 503. */
  readonly retryAfter?: number | undefined;
}

const reasonPhrases = {
  200: "OK",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  411: "Length Required",
  413: "Content Too Large",
  429: "Too Many Requests",
  503: "Service Unavailable",
} as const;

export type HttpStatus = HttpAnswer["status"];

/** An answer that is a sentence about what went wrong. */
export function errorAnswer(
  status: Exclude<HttpStatus, 200>,
  error: string,
  retryAfter?: number,
): HttpAnswer {
  return { status, body: { error }, retryAfter };
}

/** The bytes of an answer, after which the connection ends. */
export function encodeAnswer({ status, body, retryAfter }: HttpAnswer): Uint8Array {
  const content = encoder.encode(JSON.stringify(body));
  const head = [
    `HTTP/1.1 ${status} ${reasonPhrases[status]}`,
    "Content-Type: application/json",
    `Content-Length: ${content.length}`,
    "Cache-Control: no-store",
    ...(retryAfter === undefined ? [] : [`Retry-After: ${Math.ceil(retryAfter)}`]),
    "Connection: close",
  ];
  const headBytes = encoder.encode(head.map((line) => `${line}\r\n`).join("") + "\r\n");
  const bytes = new Uint8Array(headBytes.length + content.length);
  bytes.set(headBytes);
  bytes.set(content, headBytes.length);
  return bytes;
}

const encoder = new TextEncoder();
