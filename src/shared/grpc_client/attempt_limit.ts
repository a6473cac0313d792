import { CallCredentials, Metadata, status } from "@grpc/grpc-js";
import { RpcError } from "../grpc/rpc_error.ts";

/** grpc-js repeats a refused stream once, and a lost pick sometimes; more attempts than that are a fault. */
const mostAttempts = 5;
const exhausted = "no call can start on this connection";

/**
 * Call credentials for one call that carry nothing, but are asked before each of its attempts.
 *
 * A connection that receives a GOAWAY as it opens stays READY in grpc-js 1.14 for ever. A
 * call on it fails before it starts, and so is repeated at once, on the same connection, without an end
 * and without a turn for timers or sockets. The limit ends it.
 */
export function attemptLimitCredentials(): CallCredentials {
  let attempts = 0;
  return CallCredentials.createFromMetadataGenerator((_, callback) => {
    attempts++;
    if (attempts <= mostAttempts) callback(null, new Metadata());
    else callback(new RpcError(status.UNAVAILABLE, exhausted));
  });
}

/** Whether a call ended at the limit: nothing of it was sent, and its connection cannot be used any more. */
export function isAttemptLimitError(error: RpcError): boolean {
  return error.code === status.UNAVAILABLE && error.message.endsWith(exhausted);
}
