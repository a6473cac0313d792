import type { DescMethod } from "@bufbuild/protobuf";
import { type ServerUnaryCall, status, type StatusObject } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";
import type { ActiveCalls } from "./open_calls.ts";
import { RpcError, toStatus } from "../grpc/rpc_error.ts";
import { type CallContext, methodPath } from "../grpc/service_definition.ts";
import { errorMessage } from "../text/error_message.ts";

const logger = getLogger(["grpc", "call"]);

/** A call that ended: for one line of the log and the metrics. */
export interface CompletedCall {
  /** "/package.Service/Method". */
  method: string;
  code: status;
  ms: number;
  /** What the implementation threw; present exactly when it failed. */
  error?: unknown;
}

export interface HandlerOptions {
  readonly calls: ActiveCalls;
  readonly onCall?: ((call: CompletedCall) => void) | undefined;
}

/** What calls of all kinds have in grpc-js. */
export type ServerCall =
  & Pick<
    ServerUnaryCall<Buffer, Buffer>,
    "cancelled" | "getDeadline" | "getAuthContext"
  >
  & { on(event: "cancelled", listener: () => void): unknown };

/**
 * Runs a call's body in its context and returns the status to send, undefined for OK. Never rejects:
 * grpc-js ignores what a handler returns, so a rejection would end the process.
 */
export async function runCall(
  call: ServerCall,
  method: DescMethod,
  options: HandlerOptions,
  body: (context: CallContext) => Promise<void>,
): Promise<StatusObject | undefined> {
  const started = performance.now();
  using open = options.calls.open(method.methodKind !== "unary");
  let isSettled = false;
  // grpc-js emits "cancelled" at the end of every call, and an unused error costs a stack trace.
  const onCancelled = () => {
    if (!isSettled) open.abort(cancellation(call));
  };
  let failure: StatusObject | undefined;
  let error: unknown;
  try {
    call.on("cancelled", onCancelled);
    if (call.cancelled) onCancelled();
    open.signal.throwIfAborted();
    await body({ signal: open.signal, peerCertificate: peerCertificateOf(call) });
  } catch (thrown) {
    error = thrown;
    const stopped = open.signal.aborted && !(thrown instanceof RpcError);
    failure = toStatus(stopped ? open.signal.reason : thrown);
  }
  isSettled = true;
  const code = call.cancelled && open.signal.aborted
    ? open.signal.reason.code
    : failure?.code ?? status.OK;
  const ms = performance.now() - started;
  report(options, { method: methodPath(method), code, ms, ...(failure && { error }) });
  return failure;
}

function report({ onCall }: HandlerOptions, call: CompletedCall): void {
  try {
    onCall?.(call);
  } catch (error) {
    logger.error("the report of a call of {method} failed: {reason}", {
      method: call.method,
      reason: errorMessage(error),
    });
  }
}

/**
 * Gives grpc-js the answer of a call. Its connection may have closed at any moment before, and
 * grpc-js throws at some of them; the caller then receives nothing in any case.
 */
export function deliver(method: DescMethod, send: () => void): void {
  try {
    send();
  } catch (error) {
    logger.debug("the answer of a call of {method} was not sent: {reason}", {
      method: methodPath(method),
      reason: errorMessage(error),
    });
  }
}

/** grpc-js reads a property of null when the connection has closed and its call has not. */
function peerCertificateOf(call: ServerCall): Uint8Array | undefined {
  try {
    return call.getAuthContext().sslPeerCertificate?.raw;
  } catch (cause) {
    throw new RpcError(status.UNAVAILABLE, "the connection has closed", { cause });
  }
}

/** A client's own timer often cancels shortly before ours: a cancellation this close to the deadline counts as the deadline. */
const deadlineToleranceMs = 10;

function cancellation(call: ServerCall): RpcError {
  return Date.now() + deadlineToleranceMs >= Number(call.getDeadline())
    ? new RpcError(status.DEADLINE_EXCEEDED, "the call's deadline has passed")
    : new RpcError(status.CANCELLED, "the caller has cancelled the call");
}
