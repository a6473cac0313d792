/** A driver that does nothing but mount a tmpfs and write three files: what a publish cannot cost less than. */
import { Node } from "../../src/shared/gen/csi_pb.ts";
import { registerService, serveUnix } from "../../src/shared/grpc_server/server.ts";
import type { ServiceImplementation } from "../../src/shared/grpc/service_definition.ts";
import { openLibc } from "../../src/shared/linux/libc.ts";

const [socket = ""] = Deno.args;
const libc = openLibc();
const text = "x".repeat(1_000);

const node: Partial<ServiceImplementation<typeof Node>> = {
  nodePublishVolume: async ({ targetPath: target }) => {
    await Deno.mkdir(target, { recursive: true });
    libc.mount({ source: "bench", target, fileSystem: "tmpfs", flags: 0, options: "size=1m" });
    for (const name of ["tls.crt", "tls.key", "ca.crt"]) {
      await Deno.writeTextFile(`${target}/${name}`, text);
    }
    return {};
  },
  nodeUnpublishVolume: async ({ targetPath }) => {
    libc.unmount(targetPath);
    await Deno.remove(targetPath);
    return {};
  },
};
const none = () => Promise.reject(new Error("not here"));
const implementation = Object.fromEntries(
  Node.methods.map(({ localName }) => [localName, node[localName as "nodePublishVolume"] ?? none]),
) as unknown as ServiceImplementation<typeof Node>;

await serveUnix(socket, { services: [registerService(Node, implementation)] });
console.log(JSON.stringify({ event: "ready" }));
