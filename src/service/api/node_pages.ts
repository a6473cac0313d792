import type { NodeInfo } from "../../shared/gen/certificate_service_pb.ts";
import { yieldToEventLoop } from "../../shared/scheduler/event_loop_yield.ts";

const nodesPerPage = 200;

/** The nodes as messages of a stream, each with `more`; other work runs between them. */
export async function* nodePages<T>(nodes: readonly NodeInfo[], more: T) {
  for (let start = 0; start < nodes.length; start += nodesPerPage) {
    yield { ...more, nodes: nodes.slice(start, start + nodesPerPage) };
    await yieldToEventLoop();
  }
}
