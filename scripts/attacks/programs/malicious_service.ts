/** A server that speaks HTTP/2 by hand in place of the certificate service, and does what it likes. */
import { createServer, type Server, type Socket } from "node:net";
import { type Frame, frameFlag, FrameReader, frameType, preface } from "../http2/frames.ts";

/** One connection of the driver's, as the server sees it. */
export interface Peer {
  readonly socket: Socket;
  /** The number of the connection, from 0. */
  readonly number: number;
  send(...parts: readonly Uint8Array[]): void;
  readonly isOpen: boolean;
}

export interface Behaviour {
  /** A new connection; nothing has been read from it. */
  readonly onConnection?: (peer: Peer) => void;
  /** Every frame of the driver's. */
  readonly onFrame?: (peer: Peer, frame: Frame) => void;
  /** A call's headers have ended. */
  readonly onCall?: (peer: Peer, stream: number) => void;
}

export class MaliciousService implements AsyncDisposable {
  readonly address: string;
  readonly #server: Server;
  readonly #sockets: Set<Socket>;

  private constructor(server: Server, sockets: Set<Socket>, port: number) {
    this.#server = server;
    this.#sockets = sockets;
    this.address = `127.0.0.1:${port}`;
  }

  static async start(behaviour: Behaviour, port = 0): Promise<MaliciousService> {
    let number = 0;
    const sockets = new Set<Socket>();
    const server = createServer((socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => void sockets.delete(socket));
      serve(socket, number++, behaviour);
    });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
    await promise;
    const address = server.address();
    const bound = typeof address === "object" && address !== null ? address.port : 0;
    return new MaliciousService(server, sockets, bound);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#server.close(() => resolve());
    for (const socket of this.#sockets) socket.destroy();
    await promise;
  }
}

function serve(socket: Socket, number: number, behaviour: Behaviour): void {
  const peer: Peer = {
    socket,
    number,
    send: (...parts) => {
      for (const part of parts) if (!socket.destroyed) socket.write(part);
    },
    get isOpen() {
      return !socket.destroyed;
    },
  };
  const reader = new FrameReader();
  let skipped = 0;
  behaviour.onConnection?.(peer);
  socket.on("data", (bytes: Uint8Array) => {
    const rest = bytes.subarray(Math.min(bytes.length, preface.length - skipped));
    skipped += bytes.length - rest.length;
    for (const frame of reader.push(rest)) {
      behaviour.onFrame?.(peer, frame);
      if (frame.type === frameType.headers && (frame.flags & frameFlag.endHeaders) !== 0) {
        behaviour.onCall?.(peer, frame.stream);
      }
    }
  });
}
