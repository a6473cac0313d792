import { encodePem } from "../../shared/crypto/pem.ts";
import { encodeAnswer, type HttpAnswer } from "../../shared/http/http_answer.ts";
import { parseRequestHead, type RequestHead } from "../../shared/http/request_reader.ts";
import { writeAll } from "../../shared/http/write_all.ts";
import type { AttestationOutcome } from "./attestation_outcome.ts";
import {
  type AttestationRequest,
  headRejectionReason,
  parseAttestationRequest,
} from "./attestation_request.ts";

/** Receives a connection's request. */
export interface RequestHandler {
  /** Called when the request is complete, before its content is checked. */
  onReceived(): void;
  attest(request: AttestationRequest): Promise<AttestationOutcome>;
}

/** The part of a connection that is used here. */
export type ByteStream = Pick<Deno.TlsConn, "read" | "write" | "closeWrite">;

/** The size of a request's head and body together. */
export const maxRequestBytes = 16 * 1024;
/** A request of a driver arrives in a few pieces; each piece costs an iteration of the event loop. */
const maxReads = 64;

const statuses = {
  malformed: 400,
  unauthenticated: 401,
  denied: 403,
  overloaded: 429,
  unavailable: 503,
} as const satisfies Record<Exclude<AttestationOutcome["kind"], "issued">, HttpAnswer["status"]>;

/**
 * Reads the one request of a connection and answers it. Rejects when the connection fails or is
 * closed; the caller closes it when its time has passed.
 */
export async function serveRequest(stream: ByteStream, handler: RequestHandler): Promise<void> {
  const request = await readRequest(stream);
  if (request === undefined) return;
  const answer = "status" in request ? request : await answerTo(request, handler);
  await writeAll(stream, encodeAnswer(answer));
  await stream.closeWrite();
}

interface ReceivedRequest {
  readonly body: Uint8Array;
}

/** Undefined when the client has closed the connection; an answer for a malformed request. */
async function readRequest(
  stream: ByteStream,
): Promise<ReceivedRequest | HttpAnswer | undefined> {
  // One byte more, so that a request that is too long is noticed.
  const bytes = new Uint8Array(maxRequestBytes + 1);
  let head: RequestHead | undefined;
  for (let length = 0, reads = 0; reads < maxReads; reads++) {
    const count = await stream.read(bytes.subarray(length));
    if (count === null) return undefined;
    length += count;
    if (head === undefined) {
      const rules = { maxBytes: maxRequestBytes, body: "required" } as const;
      const parsed = parseRequestHead(bytes.subarray(0, length), rules);
      if (parsed.kind === "rejected") return errorAnswer(parsed.status, parsed.reason);
      if (parsed.kind === "incomplete") continue;
      head = parsed.head;
      const reason = headRejectionReason(head);
      if (reason !== undefined) return errorAnswer(400, reason);
    }
    if (length > head.bodyEnd) return errorAnswer(400, "the body is longer than Content-Length");
    if (length === head.bodyEnd) return { body: bytes.subarray(head.bodyStart, length) };
  }
  return errorAnswer(400, `the request arrives in more than ${maxReads} pieces`);
}

async function answerTo({ body }: ReceivedRequest, handler: RequestHandler): Promise<HttpAnswer> {
  handler.onReceived();
  const parsed = parseAttestationRequest(body);
  if (parsed.kind === "malformed") return errorAnswer(400, parsed.reason);
  const outcome = await handler.attest(parsed.request);
  if (outcome.kind === "issued") {
    const pem = outcome.chain.map((der) => encodePem("CERTIFICATE", der)).join("");
    return json(200, { certificateChain: pem, notAfter: outcome.notAfter.toString() });
  }
  const retryAfter = "retryAfter" in outcome ? outcome.retryAfter.total("seconds") : undefined;
  return errorAnswer(statuses[outcome.kind], outcome.reason, retryAfter);
}

function errorAnswer(status: HttpAnswer["status"], error: string, retryAfter?: number): HttpAnswer {
  const answer = json(status, { error });
  if (retryAfter === undefined) return answer;
  return { ...answer, fields: { "Retry-After": `${Math.ceil(retryAfter)}` } };
}

function json(status: HttpAnswer["status"], body: Readonly<Record<string, string>>): HttpAnswer {
  return { status, contentType: "application/json", body: JSON.stringify(body) };
}
