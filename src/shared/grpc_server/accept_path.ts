import { getLogger } from "@logtape/logtape";
import { createServer, type Server as NetServer, type Socket } from "node:net";
import { setImmediate as turn } from "node:timers/promises";
import type { TLSSocket } from "node:tls";
import type { Clock } from "../scheduler/clock.ts";
import {
  addressKey,
  AddressLimiter,
  BoundedGroups,
  type ConnectionLimits,
  type ConnectionRefusal,
  defaultLimits,
  type OpenConnections,
  type PeerClosing,
} from "./connection_limits.ts";
import { FrameLimits } from "./frame_limits.ts";
import { AcceptedPeer, PeerGate } from "./peer_gate.ts";
import type { PeerVerifier } from "./peer_verifier.ts";
import { holdReads, ReadTurns, SlicedStream } from "./sliced_stream.ts";
import { ReloadingTlsServer, type TlsIdentitySource } from "./tls_credentials.ts";
import { errorMessage } from "../text/error_message.ts";

const logger = getLogger(["grpc", "connections"]);

export interface AcceptPathOptions {
  readonly tls?: TlsIdentitySource | undefined;
  readonly peers?: PeerVerifier | undefined;
  readonly clock: Clock;
  readonly limits?: Partial<ConnectionLimits> | undefined;
  readonly onRefusal?: ((why: ConnectionRefusal) => void) | undefined;
  /** Receives each connection that may speak HTTP/2. */
  readonly inject: (connection: SlicedStream, peer: AcceptedPeer | undefined) => void;
}

/**
 * Deno 2.9 accepts all that wait before it calls back, and accepts no more for ever once it has run
 * out of file descriptors: so few may wait.
 */
const mostUnaccepted = 256;
/** Turns of the event loop in which the last answers leave for the sockets. */
const lastTurns = 10;
/** A peer that reads no more does not hold the end up. */
const longestCloseMs = 1_000;

/**
 * The way of a TCP connection to HTTP/2: limits, TLS, and the gate, which looks at each connection. A
 * connection that fails at any of them is destroyed before HTTP/2 has seen a byte of it.
 */
export class AcceptPath {
  readonly #options: AcceptPathOptions;
  readonly #listener: NetServer;
  readonly #tls: ReloadingTlsServer | undefined;
  readonly #gate: PeerGate | undefined;
  readonly #addresses: AddressLimiter;
  readonly #unfinished: BoundedGroups<Socket>;
  readonly #anonymous: BoundedGroups<Socket>;
  readonly #sockets = new Set<Socket>();
  /** Those that were closed here. */
  readonly #refused = new WeakSet<Socket>();
  readonly #turns = new ReadTurns();

  /** Throws when the TLS identity is unusable, or client CAs and the peer verifier do not go together. */
  constructor(options: AcceptPathOptions) {
    const { tls, peers, clock } = options;
    const limits = { ...defaultLimits, ...options.limits };
    using undo = new DisposableStack();
    this.#options = options;
    this.#tls = tls && undo.use(new ReloadingTlsServer(tls, limits.handshakeMs));
    if ((this.#tls?.asksClients ?? false) !== (peers !== undefined)) {
      throw new TypeError("CAs for client certificates and a peer verifier need each other");
    }
    this.#gate = peers && undo.use(new PeerGate(peers, clock));
    // Where no client can prove that it is a node's, each of them may be.
    const rate = limits.rates.recognized;
    const rates = this.#gate ? limits.rates : { unknown: rate, recognized: rate };
    this.#addresses = new AddressLimiter(rates, clock);
    this.#unfinished = new BoundedGroups(limits.handshakes);
    this.#anonymous = new BoundedGroups(limits.anonymous);
    this.#listener = createServer({ noDelay: true }, (socket) => this.#accept(socket));
    this.#tls?.server.on("secureConnection", (secure) => void this.#admit(secure));
    this.#tls?.server.on("tlsClientError", (error, socket) => this.#refuseTls(error, socket));
    undo.move();
  }

  /** Listens on "host:port" and resolves with the port. */
  async listen(address: string): Promise<number> {
    const [, host = "", port] = /^\[?(.*?)\]?:(\d+)$/.exec(address) ?? [];
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#listener.once("error", reject);
    try {
      this.#listener.listen({ host, port: Number(port), backlog: mostUnaccepted }, resolve);
      await promise;
    } catch (error) {
      this.#dispose();
      const reason = errorMessage(error);
      throw new Error(`cannot listen on ${address}: ${reason}`, { cause: error });
    }
    this.#listener.removeListener("error", reject);
    this.#listener.on("error", ({ message }) => {
      logger.error("cannot accept a connection: {reason}", { reason: message });
    });
    const bound = this.#listener.address();
    return bound !== null && typeof bound === "object" ? bound.port : Number(port);
  }

  get open(): OpenConnections {
    return {
      unfinished: this.#unfinished.size,
      authenticated: this.#gate?.size ?? 0,
      anonymous: this.#anonymous.size,
    };
  }

  /** Listens no longer. */
  stopAccepting(): void {
    this.#listener.close();
    for (const socket of this.#unfinished) {
      this.#refused.add(socket);
      socket.destroy();
    }
  }

  /** Ends every connection once what was written has left, or after a second. */
  async close(): Promise<void> {
    for (let count = 0; count < lastTurns; count++) await turn();
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
    this.#dispose();
  }

  #dispose(): void {
    this.#gate?.[Symbol.dispose]();
    this.#tls?.[Symbol.dispose]();
  }

  #accept(raw: Socket): void {
    raw.on("error", () => raw.destroy());
    const address = addressKey(raw.remoteAddress ?? "");
    if (!this.#addresses.admits(address)) return this.#refuse("rate", raw);
    this.#sockets.add(raw);
    raw.once("close", () => this.#sockets.delete(raw));
    if (this.#tls === undefined) return this.#admitAnonymous(address, raw, raw);
    const evicted = this.#unfinished.add(address, raw);
    if (evicted !== undefined) this.#refuse("handshakes", evicted);
    raw.once("close", () => this.#unfinished.delete(address, raw));
    this.#tls.server.emit("connection", raw);
  }

  #refuseTls({ message }: Error, secure: TLSSocket): void {
    const raw = rawOf(secure);
    // The error also comes of a connection that was closed here.
    if (this.#refused.has(raw)) return;
    logger.debug("a TLS handshake failed: {reason}", { reason: message });
    this.#refuse("tls", secure, raw);
  }

  async #admit(secure: TLSSocket): Promise<void> {
    secure.on("error", () => secure.destroy());
    const raw = rawOf(secure);
    try {
      await this.#pass(secure, raw);
    } catch (error) {
      const reason = errorMessage(error);
      logger.error("cannot accept a connection: {reason}", { reason });
      this.#refuse("tls", secure, raw);
    }
  }

  /** The gate. */
  async #pass(secure: TLSSocket, raw: Socket): Promise<void> {
    const address = addressKey(raw.remoteAddress ?? "");
    if (secure.alpnProtocol !== "h2") return this.#refuse("protocol", secure, raw);
    if (this.#gate === undefined) {
      this.#unfinished.delete(address, raw);
      return this.#admitAnonymous(address, raw, secure);
    }
    const leaf = secure.authorized ? secure.getPeerCertificate()?.raw : undefined;
    if (leaf === undefined) return this.#refuse("certificate", secure, raw);
    // Nobody takes what the client sends while its certificate is verified.
    holdReads(raw, true);
    const close = (why: PeerClosing) => this.#refuse(why, secure, raw);
    const peer = await this.#gate.admit(new Uint8Array(leaf), close);
    if (!(peer instanceof AcceptedPeer)) {
      logger.warn("rejected a client certificate: {reason}", { reason: peer.rejected });
      return this.#refuse("peer", secure, raw);
    }
    if (raw.destroyed || secure.destroyed) return peer[Symbol.dispose]();
    raw.once("close", () => peer[Symbol.dispose]());
    this.#unfinished.delete(address, raw);
    this.#addresses.recognize(address);
    this.#inject(raw, secure, peer);
    holdReads(raw, false);
  }

  #admitAnonymous(address: string, raw: Socket, source: Socket): void {
    const evicted = this.#anonymous.add(address, raw);
    if (evicted !== undefined) this.#refuse("connections", evicted);
    raw.once("close", () => this.#anonymous.delete(address, raw));
    this.#inject(raw, source, undefined);
  }

  #inject(raw: Socket, source: Socket, peer: AcceptedPeer | undefined): void {
    const connection = new SlicedStream({
      raw,
      source,
      turns: this.#turns,
      limits: new FrameLimits(this.#options.clock),
      onFlood: (reason) => {
        const from = raw.remoteAddress;
        logger.warn("closing a connection of {from}: it sends too many {reason}", { from, reason });
        this.#refuse("flood", source);
      },
    });
    this.#options.inject(connection, peer);
  }

  #refuse(why: ConnectionRefusal, ...sockets: Socket[]): void {
    for (const socket of sockets) {
      this.#refused.add(socket);
      socket.destroy();
    }
    try {
      this.#options.onRefusal?.(why);
    } catch (error) {
      const reason = errorMessage(error);
      logger.error("the report of a refused connection failed: {reason}", { reason });
    }
  }
}

/** The TCP connection under a TLS connection, which Node and Deno keep in a property of this name. */
function rawOf(secure: TLSSocket): Socket {
  return (secure as unknown as { _parent: Socket })._parent;
}
