import assert from "node:assert/strict";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";

/** The error with which a call fails; a call that succeeds fails the test. */
export async function refusal(call: Promise<unknown>): Promise<RpcError> {
  const error = await call.then(() => undefined, (error) => error);
  assert(error instanceof RpcError, `the call was not rejected by a status: ${error}`);
  return error;
}
