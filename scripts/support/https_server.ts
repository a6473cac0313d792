import {
  createServer as createPlaintextServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";

export interface HttpsOptions {
  /** A loopback address of this machine. */
  readonly hostname: string;
  /** 0: any free one. */
  readonly port: number;
  /** PEM; absent: plaintext. */
  readonly tls: { readonly cert: string; readonly key: string } | undefined;
  /** A response whose body fails cuts the connection. */
  readonly answer: (request: Request, callerPort: number) => Promise<Response>;
}

/**
 * Serves HTTP/1.1 at once: Deno's own server over TLS waits 40 ms for the other side's
 * acknowledgement with each answer. Disposing cuts what is open.
 */
export async function serveHttps(
  { hostname, port, tls, answer }: HttpsOptions,
): Promise<AsyncDisposable & { port: number }> {
  const listener = (message: IncomingMessage, response: ServerResponse) =>
    void exchange(message, response, answer).catch(() => response.destroy());
  const server: Server = tls === undefined
    ? createPlaintextServer(listener)
    : createServer(tls, listener);
  const sockets = new Set<Socket>();
  server.on(tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => void sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function exchange(
  message: IncomingMessage,
  response: ServerResponse,
  answer: HttpsOptions["answer"],
): Promise<void> {
  const body: Uint8Array<ArrayBuffer>[] = [];
  for await (const chunk of message) body.push(new Uint8Array(chunk));
  const headers = Object.entries(message.headers).map(([name, value]) => [name, `${value}`]);
  const request = new Request(`https://127.0.0.1${message.url}`, {
    method: message.method ?? "GET",
    headers: headers as [string, string][],
    ...(body.length > 0 ? { body: new Blob(body) } : {}),
  });
  const answered = await answer(request, message.socket.remotePort ?? 0);
  response.writeHead(answered.status, Object.fromEntries(answered.headers));
  response.flushHeaders();
  const reader = answered.body?.getReader();
  response.on("close", () => void reader?.cancel().catch(() => {}));
  for (;;) {
    const { done, value } = await reader?.read() ?? { done: true, value: undefined };
    if (done || value === undefined) break;
    response.write(value);
  }
  response.end();
}
