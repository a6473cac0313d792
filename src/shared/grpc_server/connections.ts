import type { Server } from "@grpc/grpc-js";
import { Server as NetServer, type Socket } from "node:net";
import { setImmediate } from "node:timers/promises";
import { gatherWrites } from "../grpc/gathered_writes.ts";

/** What grpc-js keeps to itself: the servers that listen for it. */
interface Listening {
  readonly http2Servers: ReadonlyMap<NetServer, unknown>;
}

/** Turns of the event loop in which the last answers leave for the sockets. */
const turns = 10;

/** A peer that reads no more does not hold the end up. */
const longestCloseMs = 1_000;

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

  /** Listens no longer. */
  stopAccepting(): void {
    // Not the method of an HTTP/2 server, which also says goodbye to its sessions.
    for (const server of this.#servers) NetServer.prototype.close.call(server);
  }

  /** Ends every connection once what was written has left, or after a second. */
  async close(): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await setImmediate();
    const closed = [...this.#sockets].map((socket) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(() => socket.destroy(), longestCloseMs);
        socket.once("close", () => {
          clearTimeout(timer);
          resolve();
        });
        socket.destroySoon();
      })
    );
    await Promise.all(closed);
  }
}
