/**
 * A server whose callers close their connections, where each session's end takes long enough for Deno's HTTP/2 to be
 * met in the midst of reading: without endSessionsLater() it dies within tens of connections.
 */
import http2 from "node:http2";
import { Node } from "../../../src/shared/gen/csi_pb.ts";
import { connect } from "../../../src/shared/grpc_client/client.ts";
import { serveUnix } from "../../../src/shared/grpc_server/server.ts";
import { stubService } from "../../support/stub_service.ts";
import { temporaryFolder } from "../../support/temporary_folder.ts";

const { prototype } = (http2 as unknown as {
  Http2Session: { prototype: Record<string, (...args: unknown[]) => unknown> };
}).Http2Session;
for (const name of ["close", "destroy"]) {
  const end = prototype[name]!;
  prototype[name] = function (...args) {
    for (const until = performance.now() + 2; performance.now() < until;) new Error().stack;
    return end.apply(this, args);
  };
}

await using folder = await temporaryFolder();
const services = [stubService(Node, { nodeGetInfo: () => Promise.resolve({ nodeId: "node-1" }) })];
await using server = await serveUnix(`${folder.path}/s.sock`, { services });
let left = 150;
await Promise.all(Array.from({ length: 8 }, async () => {
  while (left-- > 0) {
    using client = connect(Node, { address: `unix://${server.path}` });
    await client.nodeGetInfo({}, { timeoutMs: 30_000 });
  }
}));
