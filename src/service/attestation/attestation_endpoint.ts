/**
 * The endpoint where a node shows its driver pod's token and receives a client certificate: the one
 * door of the service that is open to strangers. It is a loop of its own over Deno's sockets, because
 * `Deno.serve` offers HTTP/2 to everybody and has neither timeouts nor limits, and because no second
 * node:tls server may be in this process (TLS tickets are shared between them).
 *
 * Main types: AttestationEndpoint (sockets), Attestor (the order of checks), TokenVerifier and
 * KeySetCache (signatures), NodeIssuer (node certificates). Nothing here may write a token or a key
 * anywhere, or call the API server for a token whose signature is bad.
 */
import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { AddressLimits } from "./address_limits.ts";
import type { AttestationOutcome } from "./attestation_outcome.ts";
import type { AttestationRequest } from "./attestation_request.ts";
import { serveRequest } from "./connection.ts";
import { relay } from "./relay.ts";
import { type ServingPair, TlsLeg } from "./tls_leg.ts";

/** A listener as far as it is used here. */
export interface TcpListener {
  readonly addr: Deno.Addr;
  accept(): Promise<Deno.TcpConn>;
  close(): void;
}

export interface AttestationEndpointOptions {
  readonly hostname: string;
  /** 0: any free one. */
  readonly port: number;
  /** The service's serving certificate, which changes while it serves. */
  readonly identity: { current(): ServingPair; onChange(listener: () => void): Disposable };
  readonly limits: AddressLimits;
  readonly attestor: {
    attest(request: AttestationRequest, signal: AbortSignal): Promise<AttestationOutcome>;
  };
  readonly clock: Clock;
  readonly listen?: ((address: { hostname: string; port: number }) => TcpListener) | undefined;
}

/** From accept to close. */
const connectionMs = 5_000;
/** What is answered takes a moment to be written. */
const attestationMs = 4_500;
/** Without file descriptors accept fails at once, again and again. */
const acceptPauseMs = 100;

const logger = getLogger(["cert-service", "attestation"]);

/** Serves until disposed; a new serving certificate is shown from the next connection on. */
export class AttestationEndpoint implements AsyncDisposable {
  readonly #options: AttestationEndpointOptions;
  readonly #listener: TcpListener;
  readonly #tls: TlsLeg;
  readonly #subscription: Disposable;
  readonly #connections = new Set<Promise<void>>();
  /** Connections whose request is not complete: nothing is lost when they are closed. */
  readonly #unread = new Set<Disposable>();
  readonly #ended: Promise<void>;
  #isStopping = false;
  /** Ends the pause of the accept loop, of which there is one at a time. */
  #endPause = () => {};

  /** Throws when the address cannot be listened on. */
  constructor(options: AttestationEndpointOptions) {
    this.#options = options;
    const { hostname, port, listen = Deno.listen, identity, clock } = options;
    try {
      this.#listener = listen({ hostname, port });
    } catch (cause) {
      throw new Error(
        `cannot listen for attestations on ${hostname} port ${port}: ${errorMessage(cause)}`,
        { cause },
      );
    }
    this.#tls = new TlsLeg(identity.current(), clock);
    this.#subscription = identity.onChange(() => this.#changeCertificate());
    this.#ended = this.#acceptAll();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Accepts no further connection and answers the requests that are complete. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#isStopping = true;
    this.#endPause();
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
      logger.error("the new serving certificate cannot be used, the old one stays: {problem}", {
        problem,
      });
    }
  }

  async #acceptAll(): Promise<void> {
    while (!this.#isStopping) {
      try {
        this.#receive(await this.#listener.accept());
      } catch (error) {
        if (this.#isStopping) return;
        logger.warn("cannot accept a connection: {problem}", { problem: errorMessage(error) });
        await this.#pause();
      }
    }
  }

  #receive(client: Deno.TcpConn): void {
    const address = (client.remoteAddr as Deno.NetAddr).hostname;
    const place = this.#options.limits.connect(address);
    if (place === undefined) return client.close();
    const served = this.#serve(client, address).finally(() => {
      place[Symbol.dispose]();
      this.#connections.delete(served);
    });
    this.#connections.add(served);
  }

  /** Resolves when nothing of the connection is left; never rejects. */
  async #serve(client: Deno.TcpConn, address: string): Promise<void> {
    const { clock, limits, attestor } = this.#options;
    const late = new AbortController();
    using sockets = new OpenSockets(client);
    using _end = clock.after(connectionMs, () => sockets[Symbol.dispose]());
    using _late = clock.after(attestationMs, () => late.abort(new Error("no time is left")));
    this.#unread.add(sockets);
    try {
      client.setNoDelay();
      const { tls, wire } = await this.#tls.connect(late.signal);
      sockets.add(wire);
      sockets.add(tls);
      const relayed = relay(client, wire);
      const served = tls.handshake().then(() =>
        serveRequest(tls, {
          admits: () => limits.admits(address),
          attest: (request) => {
            this.#unread.delete(sockets);
            return attestor.attest(request, late.signal).catch(failure);
          },
        })
      ).finally(() => sockets.close(tls));
      const left = relayed.finally(() => {
        late.abort(new Error("the client has left"));
        sockets[Symbol.dispose]();
      });
      await Promise.allSettled([left, served]);
    } catch {
      // Strangers' connections end in every way, and none of them is an event.
    } finally {
      this.#unread.delete(sockets);
    }
  }

  async #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#endPause = resolve;
    using _timer = this.#options.clock.after(acceptPauseMs, resolve);
    await promise;
  }
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
      // It has ended by itself.
    }
  }

  [Symbol.dispose](): void {
    this.#isClosed = true;
    for (const socket of [...this.#open]) this.close(socket);
  }
}

/** A fault of ours must not look like a refusal of the driver's. */
function failure(error: unknown): AttestationOutcome {
  logger.error("an attestation failed: {error}", { error });
  const retryAfter = Temporal.Duration.from({ seconds: 5 });
  return {
    kind: "unavailable",
    reason: "the attestation failed; see the service's log",
    retryAfter,
  };
}
