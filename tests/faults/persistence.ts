import { status } from "@grpc/grpc-js";
import { RpcError } from "../../src/shared/grpc/rpc_error.ts";

const retried = [
  // More connections at one instant than the kernel queues for a socket.
  status.UNAVAILABLE,
  status.RESOURCE_EXHAUSTED,
  // The sweep has the volume's lock.
  status.ABORTED,
];

/** Repeats a call as the kubelet does, after pauses that double, until it succeeds; returns the number of calls. */
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
