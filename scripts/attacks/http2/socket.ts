/** Sockets of the attacks: TCP from an address of the loopback's choice, and TLS on top of it. */
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";

/** A certificate (leaf first) and its key, PEM. */
export interface ClientIdentity {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

export interface SocketOptions {
  /** "host:port" or "unix:///path". */
  readonly address: string;
  /** The caller's address, 127.0.0.1 unless given. */
  readonly from?: string | undefined;
  /** Undefined: plaintext. */
  readonly tls?: TlsClientOptions | undefined;
}

export interface TlsClientOptions {
  /** PEM: what the server's certificate has to lead to. */
  readonly ca: string;
  readonly serverName: string;
  readonly identity?: ClientIdentity | undefined;
  /** ["h2"] unless given. */
  readonly protocols?: readonly string[];
}

/** `raw` is the TCP socket; `stream` what is written to, the same or TLS over it. */
export interface OpenSocket {
  readonly raw: Socket;
  readonly stream: Socket;
}

const connectMs = 5_000;

/** Resolves when the handshake has ended at our side; in TLS 1.3 a server may refuse after that. */
export async function openSocket(options: SocketOptions): Promise<OpenSocket> {
  const raw = await openTcp(options);
  if (options.tls === undefined) return { raw, stream: raw };
  return { raw, stream: await startTls(raw, options.tls) };
}

/** Only the TCP connection. */
export async function openTcp(
  { address, from = "127.0.0.1" }: Pick<SocketOptions, "address" | "from">,
): Promise<Socket> {
  const [, path] = /^unix:\/\/(.+)$/.exec(address) ?? [];
  const [host, port] = splitAddress(address);
  const socket = path !== undefined
    ? connectTcp({ path })
    : connectTcp({ host, port, localAddress: from });
  socket.setNoDelay?.(true);
  await settled(socket, "connect", () => socket.destroy());
  return socket;
}

async function startTls(raw: Socket, options: TlsClientOptions): Promise<TLSSocket> {
  const { ca, serverName, identity, protocols = ["h2"] } = options;
  const stream = connectTls({
    socket: raw,
    ca,
    servername: serverName,
    ALPNProtocols: [...protocols],
    ...(identity ? { cert: identity.certificatePem, key: identity.privateKeyPem } : {}),
  });
  await settled(stream, "secureConnect", () => raw.destroy());
  return stream;
}

async function settled(socket: Socket, event: string, give: () => void): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const timer = setTimeout(() => {
    reject(new Error(`no ${event} within ${connectMs} ms`));
    give();
  }, connectMs);
  socket.once(event, resolve);
  socket.on("error", reject);
  socket.once("close", () => reject(new Error(`closed before ${event}`)));
  try {
    await promise;
  } finally {
    clearTimeout(timer);
  }
}

export function splitAddress(address: string): [host: string, port: number] {
  const at = address.lastIndexOf(":");
  return [address.slice(0, at), Number(address.slice(at + 1))];
}

/** The ways in which a connection ends without HTTP/2. */
export const socketEndings = {
  fin: ({ raw }: OpenSocket) => void raw.end(),
  reset: ({ raw }: OpenSocket) => void raw.resetAndDestroy(),
  closeNotify: ({ stream }: OpenSocket) => void stream.end(),
  destroy: ({ stream, raw }: OpenSocket) => {
    stream.destroy();
    raw.destroy();
  },
} as const;
