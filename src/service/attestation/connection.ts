import { encodePem } from "../../shared/crypto/pem.ts";
import type { AttestationOutcome } from "./attestation_outcome.ts";
import {
  type AttestationRequest,
  headRejectionReason,
  parseAttestationRequest,
} from "./attestation_request.ts";
import { maxRequestBytes, parseRequestHead, type RequestHead } from "./http_request.ts";
import { encodeAnswer, errorAnswer, type HttpAnswer } from "./http_response.ts";

/** What a connection's request is handed to. */
export interface RequestHandler {
  /** Whether the address of the connection may have one more request answered now. */
  admits(): boolean;
  attest(request: AttestationRequest): Promise<AttestationOutcome>;
}

/** A connection as far as it is used here. */
export type ByteStream = Pick<Deno.TlsConn, "read" | "write" | "closeWrite">;

const statuses = {
  malformed: 400,
  unauthenticated: 401,
  denied: 403,
  limited: 429,
  unavailable: 503,
} as const satisfies Record<Exclude<AttestationOutcome["kind"], "issued">, number>;

/**
 * Reads the one request of a connection and answers it. Rejects when the connection breaks or is
 * closed, which is how the caller limits its time.
 */
export async function serveRequest(stream: ByteStream, handler: RequestHandler): Promise<void> {
  const request = await readRequest(stream);
  if (request === undefined) return;
  const answer = "status" in request ? request : await answerTo(request, handler);
  await writeAll(stream, encodeAnswer(answer));
  await stream.closeWrite();
}

interface ReceivedRequest {
  readonly head: RequestHead;
  readonly body: Uint8Array;
}

/** Undefined when the client has left; an answer for what is no request. */
async function readRequest(
  stream: ByteStream,
): Promise<ReceivedRequest | HttpAnswer | undefined> {
  // One byte more, so that what is too long shows.
  const bytes = new Uint8Array(maxRequestBytes + 1);
  let length = 0;
  let head: RequestHead | undefined;
  for (;;) {
    const count = await stream.read(bytes.subarray(length));
    if (count === null) return undefined;
    length += count;
    if (head === undefined) {
      const parsed = parseRequestHead(bytes.subarray(0, length));
      if (parsed.kind === "rejected") return errorAnswer(parsed.status, parsed.reason);
      if (parsed.kind === "incomplete") continue;
      head = parsed.head;
      const reason = headRejectionReason(head);
      if (reason !== undefined) return errorAnswer(400, reason);
    }
    if (length > head.bodyEnd) return errorAnswer(400, "the body is longer than Content-Length");
    if (length === head.bodyEnd) return { head, body: bytes.subarray(head.bodyStart, length) };
  }
}

async function answerTo({ body }: ReceivedRequest, handler: RequestHandler): Promise<HttpAnswer> {
  if (!handler.admits()) {
    return errorAnswer(429, "too many requests of this address; wait and try again", 1);
  }
  const parsed = parseAttestationRequest(body);
  if (parsed.kind === "malformed") return errorAnswer(400, parsed.reason);
  const outcome = await handler.attest(parsed.request);
  if (outcome.kind === "issued") {
    const pem = outcome.chain.map((der) => encodePem("CERTIFICATE", der)).join("");
    return {
      status: 200,
      body: { certificateChain: pem, notAfter: outcome.notAfter.toString() },
    };
  }
  const retryAfter = "retryAfter" in outcome ? outcome.retryAfter.total("seconds") : undefined;
  return errorAnswer(statuses[outcome.kind], outcome.reason, retryAfter);
}

async function writeAll(stream: ByteStream, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await stream.write(bytes.subarray(sent));
}
