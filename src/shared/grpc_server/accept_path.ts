import { getLogger } from "@logtape/logtape";
import type { Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { addressKey, plainAddress } from "../network/address_key.ts";
import { BoundedGroups } from "../network/bounded_groups.ts";
import { listenError } from "../network/listen_address.ts";
import { WatchedListener } from "../network/watched_listener.ts";
import type { Clock } from "../scheduler/clock.ts";
import {
  AddressLimiter,
  type ConnectionLimits,
  type ConnectionRefusal,
  defaultLimits,
  type OpenConnections,
  type PeerClosing,
} from "./connection_limits.ts";
import { TokenBucket } from "../scheduler/token_bucket.ts";
import { FrameLimits } from "../grpc/frame_limits.ts";
import { AcceptedPeer, PeerGate } from "./peer_gate.ts";
import type { PeerVerifier } from "./peer_verifier.ts";
import { closeSockets } from "./socket_closing.ts";
import { holdReads, ReadScheduler, SlicedStream } from "../grpc/sliced_stream.ts";
import { rawOf, ReloadingTlsServer, type TlsIdentitySource } from "./tls_credentials.ts";
import { errorMessage } from "../text/error_message.ts";
import type { ListenAddress } from "../text/network_address.ts";

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

/** Clients cause these lines, so any client could fill the log. */
const logLines = { perSecond: 1, burst: 10 };

/**
 * Takes each TCP connection through the limits, TLS and the gate to HTTP/2. A connection that one of
 * them refuses is destroyed before HTTP/2 receives a byte of it.
 */
export class AcceptPath {
  readonly #options: AcceptPathOptions;
  readonly #listener: WatchedListener;
  readonly #tls: ReloadingTlsServer | undefined;
  readonly #gate: PeerGate | undefined;
  readonly #addresses: AddressLimiter;
  readonly #unfinished: BoundedGroups<Socket>;
  readonly #anonymous: BoundedGroups<Socket>;
  readonly #sockets = new Set<Socket>();
  /** Connections that this class has destroyed. */
  readonly #refused = new WeakSet<Socket>();
  readonly #readScheduler = new ReadScheduler();
  readonly #logLines: TokenBucket;

  /** Throws when the TLS identity is unusable, or client CAs and the peer verifier do not go together. */
  constructor(options: AcceptPathOptions) {
    const { tls, peers, clock } = options;
    const limits = { ...defaultLimits, ...options.limits };
    using undo = new DisposableStack();
    this.#options = options;
    this.#logLines = new TokenBucket(logLines, clock);
    this.#tls = tls && undo.use(new ReloadingTlsServer(tls, limits.handshakeMs));
    if ((this.#tls?.asksClients ?? false) !== (peers !== undefined)) {
      throw new TypeError("CAs for client certificates and a peer verifier need each other");
    }
    this.#gate = peers && undo.use(new PeerGate(peers, clock));
    // Without client certificates no address can be recognized, and each may be a node's.
    const rate = limits.rates.recognized;
    const rates = this.#gate ? limits.rates : { unknown: rate, recognized: rate };
    this.#addresses = new AddressLimiter(rates, clock);
    this.#unfinished = new BoundedGroups({ total: limits.handshakes });
    this.#anonymous = new BoundedGroups({ total: limits.anonymous });
    this.#listener = new WatchedListener({
      clock,
      onConnection: (socket) => this.#accept(socket),
      onProblem: (problem) => logger.error("{problem}", { problem }),
    });
    this.#tls?.server.on("secureConnection", (secure) => void this.#admit(secure));
    this.#tls?.server.on("tlsClientError", (error, socket) => this.#refuseTls(error, socket));
    undo.move();
  }

  /** Listens and resolves with the port. */
  async listen(address: ListenAddress): Promise<number> {
    try {
      return await this.#listener.listen(address);
    } catch (error) {
      this.#dispose();
      throw listenError(address, error);
    }
  }

  get open(): OpenConnections {
    return {
      unfinished: this.#unfinished.size,
      authenticated: this.#gate?.size ?? 0,
      anonymous: this.#anonymous.size,
    };
  }

  /** Stops listening, and closes what has not been accepted yet. */
  stopAccepting(): void {
    this.#listener.close();
    for (const socket of this.#unfinished) {
      this.#refused.add(socket);
      socket.destroy();
    }
  }

  /** Ends every connection once what was written has been sent, or after a second. */
  async close(): Promise<void> {
    await closeSockets(this.#sockets);
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
    // The error is also reported for a connection that was destroyed here.
    if (this.#refused.has(raw)) return;
    logger.debug("a TLS handshake failed: {reason}", { reason: message });
    this.#refuse("tls", secure, raw);
  }

  async #admit(secure: TLSSocket): Promise<void> {
    const raw = rawOf(secure);
    secure.on("error", () => secure.destroy());
    secure.once("close", () => raw.destroy());
    try {
      await this.#pass(secure, raw);
    } catch (error) {
      logger.error("cannot accept a connection: {reason}", { reason: errorMessage(error) });
      this.#refuse("tls", secure, raw);
    }
  }

  /** The gate: every connection passes it, also one that resumes a session, which TLS does not verify again. */
  async #pass(secure: TLSSocket, raw: Socket): Promise<void> {
    if (raw.destroyed || secure.destroyed) return;
    const address = addressKey(raw.remoteAddress ?? "");
    if (secure.alpnProtocol !== "h2") return this.#refuse("protocol", secure, raw);
    if (this.#gate === undefined) {
      this.#unfinished.delete(address, raw);
      return this.#admitAnonymous(address, raw, secure);
    }
    const leaf = secure.authorized ? secure.getPeerCertificate()?.raw : undefined;
    if (leaf === undefined) return this.#refuse("certificate", secure, raw);
    // What the client sends while its certificate is verified would have no bound in memory.
    holdReads(raw, true);
    const close = (why: PeerClosing) => this.#refuse(why, secure, raw);
    const peer = await this.#gate.admit(new Uint8Array(leaf), close);
    if (!(peer instanceof AcceptedPeer)) {
      this.#warn("rejected a client certificate from {from}: {reason}", raw, peer.rejected);
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
      scheduler: this.#readScheduler,
      limits: new FrameLimits(this.#options.clock, "client"),
      onFlood: (reason) => {
        this.#warn("closed a connection from {from}: it sent too many {reason}", raw, reason);
        this.#refuse("flood", source);
      },
    });
    this.#options.inject(connection, peer);
  }

  #warn(text: string, { remoteAddress = "" }: Socket, reason: string): void {
    if (!this.#logLines.take()) return;
    logger.warn(text, { from: plainAddress(remoteAddress), reason });
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
