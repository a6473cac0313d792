/**
 * This folder exchanges the token of a driver's pod for a short-lived client certificate of its node,
 * on a port of its own: the only port of the service that accepts unauthenticated clients. Its main
 * types are `AttestationEndpoint` (sockets and limits), `Attestor` (the order of checks),
 * `TokenVerifier` and `KeySetCache` (signatures), and the ports `TokenReviewer`, `DriverPods`,
 * `KeySetSource` and `IssueNodeCertificate`. It never writes a token or a key anywhere, and never
 * calls the API server for a token whose signature is bad.
 *
 * The endpoint accepts Deno's sockets itself, because `Deno.serve` offers HTTP/2 to every client and
 * has neither timeouts nor limits, and because this process must not have a second node:tls server
 * (both would accept the same TLS session tickets).
 */

import { getLogger } from "@logtape/logtape";
import { acceptConnections } from "../../shared/http/accept_loop.ts";
import { type ConnectionCaps, ConnectionLimits } from "../../shared/http/connection_limits.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { listenError } from "../../shared/network/listen_address.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { ListenAddress } from "../../shared/text/network_address.ts";
import type { AttestationLimits } from "./attestation_limits.ts";
import type { AttestationOutcome } from "./attestation_outcome.ts";
import type { AttestationRequest } from "./attestation_request.ts";
import { serveRequest } from "./connection.ts";
import { relay } from "./relay.ts";
import { type ServingPair, TlsTermination } from "./tls_termination.ts";

/** The part of a listener that is used here. */
export interface TcpListener {
  readonly addr: Deno.Addr;
  accept(): Promise<Deno.TcpConn>;
  close(): void;
}

export interface AttestationEndpointOptions {
  /** Port 0 selects a free one. */
  readonly address: ListenAddress;
  /** The serving certificate, which is renewed while the endpoint serves. */
  readonly identity: { current(): ServingPair; onChange(listener: () => void): Disposable };
  /** Connections whose request is not complete; 256 in all and 16 of an address unless given. */
  readonly caps?: ConnectionCaps | undefined;
  readonly limits: AttestationLimits;
  readonly attest: (
    request: AttestationRequest,
    signal: AbortSignal,
  ) => Promise<AttestationOutcome>;
  readonly clock: Clock;
  readonly listen?: ((address: { hostname: string; port: number }) => TcpListener) | undefined;
}

const defaultCaps: ConnectionCaps = { total: 256, perAddress: 16 };
/** The time from accept to close. */
const connectionMs = 5_000;
/** The time from accept to the result, so that time to write the answer remains. */
const attestationMs = 4_500;
const lateReason = `the attestation did not finish within ${attestationMs / 1_000} s of connecting`;
const soon = Temporal.Duration.from({ seconds: 2 });

const logger = getLogger(["cert-service", "attestation"]);

/** Serves until disposed; a new serving certificate is used from the next connection on. */
export class AttestationEndpoint implements AsyncDisposable {
  readonly #options: AttestationEndpointOptions;
  readonly #listener: TcpListener;
  readonly #tls: TlsTermination;
  readonly #subscription: Disposable;
  readonly #caps: ConnectionLimits;
  readonly #connections = new Set<Promise<void>>();
  /** Connections whose request is not complete: nothing is lost when they are closed. */
  readonly #unread = new Set<Disposable>();
  readonly #ended: Promise<void>;
  readonly #stopping = new AbortController();

  /** Throws when the address cannot be listened on. */
  constructor(options: AttestationEndpointOptions) {
    this.#options = options;
    this.#caps = new ConnectionLimits(options.caps ?? defaultCaps);
    const { address, listen = Deno.listen, identity, clock } = options;
    try {
      this.#listener = listen({ hostname: address.hostname, port: address.port });
    } catch (error) {
      throw listenError(address, error);
    }
    this.#tls = new TlsTermination(identity.current(), clock);
    this.#subscription = identity.onChange(() => this.#changeCertificate());
    this.#ended = acceptConnections(this.#listener, {
      clock,
      onConnection: (client) => this.#receive(client),
      onProblem: (problem) => logger.warn("cannot accept a connection: {problem}", { problem }),
    }, this.#stopping.signal);
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** How many connections are open, in any state. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Accepts no further connection and answers the requests that are complete. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#stopping.abort();
    this.#listener.close();
    await this.#ended;
    for (const connection of this.#unread) connection[Symbol.dispose]();
    await Promise.allSettled([...this.#connections]);
    await this.#tls[Symbol.asyncDispose]();
  }

  #changeCertificate(): void {
    try {
      this.#tls.replace(this.#options.identity.current());
    } catch (error) {
      const problem = errorMessage(error);
      logger.error(
        "the new serving certificate cannot be used, the previous one remains in use: {problem}",
        { problem },
      );
    }
  }

  #receive(client: Deno.TcpConn): void {
    const { hostname } = client.remoteAddr as Deno.NetAddr;
    // Rejecting a connection costs a tenth of accepting it in place of another one. An older connection
    // is closed only when the limit for all addresses is reached: one of the address that has most.
    if (this.#caps.isFull(hostname) || !this.#options.limits.admitsConnection(hostname)) {
      return client.close();
    }
    const served = this.#serve(client).finally(() => this.#connections.delete(served));
    this.#connections.add(served);
  }

  /** Resolves when all sockets of the connection are closed; never rejects. */
  async #serve(client: Deno.TcpConn): Promise<void> {
    const { clock } = this.#options;
    const address = (client.remoteAddr as Deno.NetAddr).hostname;
    const late = new AbortController();
    using sockets = new OpenSockets(client);
    const end = () => sockets[Symbol.dispose]();
    // Before the handshake; an older connection may be closed for it.
    let admitted = this.#caps.admit(address, end);
    /** During its attestation, which has its own limits, a connection is not closed in favour of others. */
    const attest = async (request: AttestationRequest): Promise<AttestationOutcome> => {
      const acquired = this.#options.limits.acquire(address);
      if (acquired.kind !== "place") return rejection(acquired.kind);
      using _place = acquired.place;
      admitted[Symbol.dispose]();
      try {
        return await this.#attest(request, late.signal);
      } finally {
        admitted = this.#caps.admit(address, end);
      }
    };
    using _end = clock.after(connectionMs, end);
    using _late = clock.after(attestationMs, () => late.abort(new Error(lateReason)));
    this.#unread.add(sockets);
    try {
      client.setNoDelay();
      const { tls, wire } = await this.#tls.connect(late.signal);
      for (const socket of [wire, tls]) sockets.add(socket);
      const relayed = relay(client, wire).finally(() => {
        late.abort(new Error("the client closed the connection before it was answered"));
        end();
      });
      const served = tls.handshake().then(() =>
        serveRequest(tls, {
          onReceived: () => void this.#unread.delete(sockets),
          attest,
        })
      ).finally(() => sockets.close(tls));
      await Promise.allSettled([relayed, served]);
    } catch {
      // The connection of an unauthenticated client can fail in many ways; none of them is logged.
    } finally {
      admitted[Symbol.dispose]();
      this.#unread.delete(sockets);
    }
  }

  async #attest(request: AttestationRequest, signal: AbortSignal): Promise<AttestationOutcome> {
    try {
      return await this.#options.attest(request, signal);
    } catch (error) {
      // A fault of this service must not look like a rejection of the driver.
      logger.error("an attestation failed: {error}", { error });
      const reason = "the attestation failed; see the service's log";
      return { kind: "unavailable", reason, retryAfter: soon };
    }
  }
}

function rejection(kind: "overloaded" | "busy"): AttestationOutcome {
  return kind === "overloaded"
    ? { kind, reason: "too many attestations of this address", retryAfter: soon }
    : { kind: "unavailable", reason: "too many attestations", retryAfter: soon };
}

/** The sockets of one connection, which are closed together or one by one. */
class OpenSockets implements Disposable {
  readonly #open = new Set<Deno.Conn>();
  #isClosed = false;

  constructor(client: Deno.Conn) {
    this.#open.add(client);
  }

  add(socket: Deno.Conn): void {
    this.#open.add(socket);
    if (this.#isClosed) this.close(socket);
  }

  close(socket: Deno.Conn): void {
    if (!this.#open.delete(socket)) return;
    try {
      socket.close();
    } catch {
      // It is closed already.
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const socket of [...this.#open]) this.close(socket);
  }
}
