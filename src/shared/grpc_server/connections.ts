import type { Server } from "@grpc/grpc-js";
import { Server as NetServer, type Socket } from "node:net";
import { gatherWrites } from "../grpc/gathered_writes.ts";
import { closeSockets } from "./socket_closing.ts";

/** A private member of grpc-js: the servers that listen for it. */
interface Listening {
  readonly http2Servers: ReadonlyMap<NetServer, unknown>;
}

/** The connections of a gRPC server, which it can only close with a GOAWAY. */
export class ServerConnections {
  readonly #servers: readonly NetServer[];
  readonly #sockets = new Set<Socket>();

  /** Follows what a server accepts from now on, on the addresses that it listens on. */
  constructor(server: Server) {
    this.#servers = [...(server as unknown as Listening).http2Servers.keys()];
    for (const listening of this.#servers) {
      listening.on("connection", gatherWrites);
      listening.on("connection", (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
      });
    }
  }

  /** Stops listening; open connections remain. */
  stopAccepting(): void {
    // Not the method of an HTTP/2 server, which sends its sessions a GOAWAY.
    for (const server of this.#servers) NetServer.prototype.close.call(server);
  }

  /** Ends every connection once what was written has been sent, or after a second. */
  async close(): Promise<void> {
    await closeSockets(this.#sockets);
  }
}
