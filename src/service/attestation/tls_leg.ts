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
  /** The end at which the client's bytes go in and the answer's bytes come out. */
  readonly wire: Deno.TcpConn;
}

const loopback = "127.0.0.1";
/** Connections of other processes in the same network namespace. */
const mostUnexpected = 64;

const logger = getLogger(["cert-service", "attestation"]);

/**
 * Ends TLS behind a TCP connection of our own. Deno's TLS connections cannot be ended before their
 * handshake is done: close() leaves the socket open for as long as the peer likes, because
 * rustls-tokio-stream 0.8 waits in its `Drop` for the handshake (seen in Deno 2.9.6). So a client's
 * bytes reach the TLS listener over the loopback interface, and closing our end there ends the
 * handshake at any time. It also lets limits apply before a handshake begins.
 */
export class TlsLeg implements AsyncDisposable {
  readonly #clock: Clock;
  #listening: Listening;

  /** Throws when the pair cannot be served with. */
  constructor(pair: ServingPair, clock: Clock) {
    this.#clock = clock;
    this.#listening = new Listening(pair, clock);
  }

  /** Shows another certificate from the next connection on; throws when it cannot be served with. */
  replace(pair: ServingPair): void {
    const next = new Listening(pair, this.#clock);
    this.#listening.retire();
    this.#listening = next;
  }

  /** Makes a connection; rejects when that fails or the signal is aborted. */
  connect(signal: AbortSignal): Promise<SecuredConnection> {
    return this.#listening.connect(signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listening.retire();
    await this.#listening.ended;
  }
}

/** One certificate's listener, which ends with the last connection that it has begun. */
class Listening {
  readonly ended: Promise<void>;
  readonly #listener: Deno.TlsListener;
  /** By the port of our end: what receives its TLS connection. */
  readonly #waiting = new Map<number, (connection: Deno.TlsConn) => void>();
  /** By port: connections that were accepted before our end was known. */
  readonly #early = new Map<number, Deno.TlsConn>();
  /** Ports of our ends that were closed before their TLS connection was accepted. */
  readonly #abandoned = new Set<number>();
  #connecting = 0;
  #isRetired = false;
  readonly #closing = new AbortController();

  constructor({ certificatePem: cert, privateKeyPem: key }: ServingPair, clock: Clock) {
    const options = { cert, key, alpnProtocols: ["http/1.1"] };
    this.#listener = Deno.listenTls({ hostname: loopback, port: 0, ...options });
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
      const { port } = this.#listener.addr;
      const wire = await Deno.connect({ hostname: loopback, port });
      // Handshakes are small messages that wait for each other.
      wire.setNoDelay();
      return { wire, tls: await this.#counterpart(wire, signal) };
    } finally {
      this.#connecting--;
      if (this.#connecting === 0) this.#forgetEarly();
      if (this.#isRetired) this.retire();
    }
  }

  /** Accepts no further connection once those that have begun are accepted. */
  retire(): void {
    this.#isRetired = true;
    if (this.#connecting > 0 || this.#closing.signal.aborted) return;
    this.#closing.abort();
    this.#listener.close();
    this.#forgetEarly();
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
    } else if (this.#abandoned.delete(port) || this.#early.size >= mostUnexpected) {
      connection.close();
    } else {
      this.#early.get(port)?.close();
      this.#early.set(port, connection);
    }
  }

  /** While no connection of ours is being made, those that remain belong to another process. */
  #forgetEarly(): void {
    for (const connection of this.#early.values()) connection.close();
    this.#early.clear();
  }
}
