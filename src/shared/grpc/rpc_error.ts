import { Metadata, type ServiceError, status, type StatusObject } from "@grpc/grpc-js";

/** gRFC A6: how long the client should wait before it tries again, in milliseconds. */
const pushbackKey = "grpc-retry-pushback-ms";
/** A status message travels in a header; some clients refuse headers over 8 KiB in all. */
const longestMessage = 2048;

/** A call's failure as gRPC reports it; `cause` is never sent. */
export class RpcError extends Error {
  override readonly name = "RpcError";
  readonly code: status;
  /** Milliseconds after which the client should try again (gRFC A6), if that was stated. */
  readonly retryAfterMs: number | undefined;

  constructor(
    code: status,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, "cause" in options ? { cause: options.cause } : {});
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** The status that is sent for a thrown value; it reveals nothing of an error that is no RpcError. */
export function toStatus(error: unknown): StatusObject {
  const metadata = new Metadata();
  if (!(error instanceof RpcError)) {
    return { code: status.INTERNAL, details: "internal error; see the log", metadata };
  }
  if (error.retryAfterMs !== undefined) {
    metadata.set(pushbackKey, String(Math.max(0, Math.round(error.retryAfterMs))));
  }
  // grpc-js percent-encodes the message and throws at a lone surrogate.
  const details = error.message.slice(0, longestMessage).toWellFormed();
  return { code: error.code, details, metadata };
}

/** How grpc-js reports a connection that broke during a call: as its own fault, where gRPC has UNAVAILABLE. */
const brokenConnection = /triggered by internal client error: (?:read|write) E[A-Z]+$/;

/** The server's answer to a failed call; anything else that was thrown is returned unchanged. */
export function toRpcError(error: unknown): unknown {
  if (!isServiceError(error)) return error;
  const pushback = error.metadata?.get(pushbackKey)[0];
  const retryAfterMs = typeof pushback === "string" && /^\d{1,9}$/.test(pushback)
    ? Number(pushback)
    : undefined;
  const isBroken = error.code === status.INTERNAL && brokenConnection.test(error.details);
  const code = isBroken ? status.UNAVAILABLE : error.code;
  return new RpcError(code, error.details, { cause: error, retryAfterMs });
}

function isServiceError(error: unknown): error is ServiceError {
  return error instanceof Error && "code" in error && typeof error.code === "number" &&
    "details" in error && typeof error.details === "string";
}
