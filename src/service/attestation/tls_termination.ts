import { getLogger } from "@logtape/logtape";
import { acceptConnections } from "../../shared/http/accept_loop.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { abortable } from "../../shared/scheduler/abort_signals.ts";

/** A key pair and its chain, PEM. */
export interface ServingPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** A connection of a client whose TLS ends in this process. */
export interface SecuredConnection {
  /** The client's bytes, decrypted. */
  readonly tls: Deno.TlsConn;
  /** Our end of the loopback connection: the client's encrypted bytes are written to it. */
  readonly wire: Deno.TcpConn;
}

/** The second one is for a network without IPv4. */
const loopbacks = ["127.0.0.1", "::1"] as const;
/** Accepted connections that no `connect` has claimed yet; others can be of other processes in the network namespace. */
const maxUnexpected = 64;

const logger = getLogger(["cert-service", "attestation"]);

/**
 * Terminates TLS behind a TCP connection over the loopback interface, whose one end is ours. Deno's
 * TLS connections cannot be closed before their handshake is complete: close() leaves the socket open
 * until the peer ends it, because rustls-tokio-stream 0.8 waits in its `Drop` for the handshake (last
 * seen in Deno 2.9.6). Closing our end of the loopback connection ends the handshake at any time. Also,
 * limits apply before a handshake begins.
 */
export class TlsTermination implements AsyncDisposable {
  readonly #clock: Clock;
  #current: CertificateListener;

  /** Throws when the pair cannot be used. */
  constructor(pair: ServingPair, clock: Clock) {
    this.#clock = clock;
    this.#current = new CertificateListener(pair, clock);
  }

  /** Uses another certificate from the next connection on; throws when it cannot be used. */
  replace(pair: ServingPair): void {
    const next = new CertificateListener(pair, this.#clock);
    this.#current.retire();
    this.#current = next;
  }

  /** Makes a connection; rejects when that fails or the signal is aborted. */
  connect(signal: AbortSignal): Promise<SecuredConnection> {
    return this.#current.connect(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#current.retire();
    await this.#current.ended;
  }
}

function listenOnLoopback(options: Deno.TlsCertifiedKeyPem & { alpnProtocols: string[] }) {
  const [ipv4, ipv6] = loopbacks;
  try {
    return Deno.listenTls({ hostname: ipv4, port: 0, ...options });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrNotAvailable)) throw error;
    return Deno.listenTls({ hostname: ipv6, port: 0, ...options });
  }
}

/** The listener of one certificate, which is closed after its last pending connection. */
class CertificateListener {
  readonly ended: Promise<void>;
  readonly #listener: Deno.TlsListener;
  /** By the port of our end: the callback that receives the TLS connection. */
  readonly #waiting = new Map<number, (connection: Deno.TlsConn) => void>();
  /** By port: connections that were accepted before `connect` waited for them. */
  readonly #early = new Map<number, Deno.TlsConn>();
  /** Ports of our ends that were closed before their TLS connection was accepted. */
  readonly #abandoned = new Set<number>();
  #connecting = 0;
  #isRetired = false;
  readonly #closing = new AbortController();

  constructor({ certificatePem: cert, privateKeyPem: key }: ServingPair, clock: Clock) {
    const options = { cert, key, alpnProtocols: ["http/1.1"] };
    this.#listener = listenOnLoopback(options);
    this.ended = acceptConnections(this.#listener, {
      clock,
      onConnection: (connection) => this.#receive(connection),
      onProblem: (problem) => logger.warn("cannot accept a TLS connection: {problem}", { problem }),
    }, this.#closing.signal);
  }

  async connect(signal: AbortSignal): Promise<SecuredConnection> {
    signal.throwIfAborted();
    this.#connecting++;
    try {
      const { hostname, port } = this.#listener.addr;
      const wire = await Deno.connect({ hostname, port });
      // A handshake consists of small messages, each of which waits for the one before.
      wire.setNoDelay();
      return { wire, tls: await this.#counterpart(wire, signal) };
    } finally {
      this.#connecting--;
      if (this.#connecting === 0) this.#closeEarly();
      if (this.#isRetired) this.retire();
    }
  }

  /** Closes the listener when the pending connections have been accepted. */
  retire(): void {
    this.#isRetired = true;
    if (this.#connecting > 0 || this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#listener.close();
    this.#closeEarly();
  }

  async #counterpart(wire: Deno.TcpConn, signal: AbortSignal): Promise<Deno.TlsConn> {
    const { port } = wire.localAddr as Deno.NetAddr;
    const early = this.#early.get(port);
    if (early !== undefined) {
      this.#early.delete(port);
      return early;
    }
    const { promise, resolve } = Promise.withResolvers<Deno.TlsConn>();
    this.#waiting.set(port, resolve);
    try {
      return await abortable(promise, signal);
    } catch (error) {
      this.#waiting.delete(port);
      this.#abandoned.add(port);
      wire.close();
      throw error;
    }
  }

  #receive(connection: Deno.TlsConn): void {
    const { port } = connection.remoteAddr as Deno.NetAddr;
    const resolve = this.#waiting.get(port);
    if (resolve !== undefined) {
      this.#waiting.delete(port);
      resolve(connection);
    } else if (this.#abandoned.delete(port) || this.#early.size >= maxUnexpected) {
      connection.close();
    } else {
      this.#early.get(port)?.close();
      this.#early.set(port, connection);
    }
  }

  /** While `connect` is not running, connections that remain are of other processes. */
  #closeEarly(): void {
    for (const connection of this.#early.values()) connection.close();
    this.#early.clear();
  }
}
