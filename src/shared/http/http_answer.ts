/** The answer of a server, before it is encoded. */
export interface HttpAnswer {
  readonly status: keyof typeof reasonPhrases;
  readonly contentType: string;
  readonly body: string;
  /** Further header fields: fixed names and values only, because they are not escaped. */
  readonly fields?: Readonly<Record<string, string>>;
}

const reasonPhrases = {
  200: "OK",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  411: "Length Required",
  413: "Content Too Large",
  429: "Too Many Requests",
  503: "Service Unavailable",
} as const;

/** The bytes of an answer, after which the connection ends; HEAD receives no body. */
export function encodeAnswer(
  { status, contentType, body, fields = {} }: HttpAnswer,
  method = "GET",
): Uint8Array {
  const content = encoder.encode(body);
  const head = encoder.encode([
    `HTTP/1.1 ${status} ${reasonPhrases[status]}`,
    `Content-Type: ${contentType}`,
    `Content-Length: ${content.length}`,
    "Cache-Control: no-store",
    ...Object.entries(fields).map(([name, value]) => `${name}: ${value}`),
    "Connection: close",
    "\r\n",
  ].join("\r\n"));
  if (method === "HEAD") return head;
  const bytes = new Uint8Array(head.length + content.length);
  bytes.set(head);
  bytes.set(content, head.length);
  return bytes;
}

const encoder = new TextEncoder();
