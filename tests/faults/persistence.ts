import { status } from "@grpc/grpc-js";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";

const retried = [
  // More connections at one instant than the kernel lets wait for a socket.
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  // The sweep looks at the volume just then.
  status.ABORTED,
];

/** As the kubelet does: again after a pause that doubles, for as long as it takes; returns the number of calls. */
export async function persistently(call: () => Promise<void>): Promise<number> {
  for (let calls = 1, pauseMs = 600;; calls++, pauseMs *= 2) {
    try {
      await call();
      return calls;
    } catch (error) {
      if (!(error instanceof RpcError) || !retried.includes(error.code)) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }
}
