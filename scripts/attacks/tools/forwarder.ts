/** Plaintext in, TLS with a node's certificate out: for tools that show no client certificate. */
import { createServer, type Socket } from "node:net";
import { openSocket, type SocketOptions } from "../http2/socket.ts";

export interface Forwarder extends AsyncDisposable {
  readonly port: number;
}

export async function startForwarder(target: SocketOptions): Promise<Forwarder> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    void forward(socket, target, sockets).catch(() => socket.destroy());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(0, "127.0.0.1", resolve);
  await promise;
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      for (const socket of sockets) socket.destroy();
      await closed.promise;
    },
  };
}

async function forward(socket: Socket, target: SocketOptions, open: Set<Socket>): Promise<void> {
  const held: Uint8Array[] = [];
  const hold = (bytes: Uint8Array) => void held.push(bytes);
  socket.on("error", () => socket.destroy());
  socket.on("data", hold);
  const { raw, stream } = await openSocket(target);
  open.add(raw);
  socket.off("data", hold);
  for (const bytes of held) stream.write(bytes);
  socket.on("data", (bytes: Uint8Array) => void stream.write(bytes));
  stream.on("data", (bytes: Uint8Array) => void socket.write(bytes));
  stream.on("error", () => socket.destroy());
  for (const part of [stream, raw]) {
    part.once("end", () => socket.end());
    part.once("close", () => socket.destroySoon());
  }
  socket.once("close", () => {
    raw.destroy();
    open.delete(socket);
    open.delete(raw);
  });
}
