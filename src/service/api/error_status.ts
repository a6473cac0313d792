/**
 * This folder is the service's gRPC interface: the handlers, the validation of requests, the status
 * codes, health, reflection, and the listener's TLS identity. Its main types are `RequestFailure`
 * and `HealthService`; its main function is `certificateService`. It never decides whether a
 * request is granted.
 */

import { status } from "@grpc/grpc-js";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import { maxReasonCharacters, truncate } from "../../shared/text/printable_text.ts";

/** Every result of a request except success. */
export interface RequestFailure {
  readonly kind:
    | "denied"
    | "invalid"
    | "unauthenticated"
    | "overloaded"
    | "unavailable"
    | "unknown";
  readonly reason: string;
  readonly retryAfter?: Temporal.Duration | undefined;
}

const codes = {
  denied: status.PERMISSION_DENIED,
  invalid: status.INVALID_ARGUMENT,
  unauthenticated: status.UNAUTHENTICATED,
  overloaded: status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  unknown: status.NOT_FOUND,
} satisfies Record<RequestFailure["kind"], status>;

/** The error that ends the call, with the status code of the failure. */
export function requestFailureError({ kind, reason, retryAfter }: RequestFailure): RpcError {
  const message = truncate(reason, maxReasonCharacters);
  return new RpcError(codes[kind], message, { retryAfterMs: retryAfter?.total("milliseconds") });
}
