/**
 * The endpoint where a node shows its driver pod's token and receives a client certificate: the one
 * door of the service that is open to strangers. It is a loop of its own over Deno's TLS listener,
 * because `Deno.serve` offers HTTP/2 to everybody and has neither timeouts nor limits, and because no
 * second node:tls server may be in this process (TLS tickets are shared between them).
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

/** A listener as far as it is used here. */
export interface TlsListener {
  readonly addr: { readonly port: number };
  accept(): Promise<Deno.TlsConn>;
  close(): void;
}

export interface ServingPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
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
  readonly listen?: ((address: ListenAddress, pair: ServingPair) => TlsListener) | undefined;
}

interface ListenAddress {
  readonly hostname: string;
  readonly port: number;
}

/** From accept to close. */
const connectionMs = 5_000;
/** What is answered takes a moment to be written. */
const attestationMs = 4_500;
/** Without file descriptors accept fails at once, again and again. */
const acceptPauseMs = 100;
const listenPauseMs = 1_000;

const logger = getLogger(["cert-service", "attestation"]);

/** Serves until disposed; a new serving certificate is shown from the next connection on. */
export class AttestationEndpoint implements AsyncDisposable {
  readonly #options: AttestationEndpointOptions;
  #isStopping = false;
  /** Ends the pause of the accept loop, of which there is one at a time. */
  #endPause = () => {};
  readonly #subscription: Disposable;
  readonly #connections = new Set<Promise<void>>();
  /** Connections whose request is not complete: nothing is lost when they are closed. */
  readonly #unread = new Set<Deno.TlsConn>();
  readonly #ended: Promise<void>;
  #port: number;
  #listener: TlsListener;
  #isClosed = false;

  /** Throws when the address cannot be listened on. */
  constructor(options: AttestationEndpointOptions) {
    this.#options = options;
    this.#port = options.port;
    this.#listener = this.#listen();
    this.#port = this.#listener.addr.port;
    this.#subscription = options.identity.onChange(() => this.#close());
    this.#ended = this.#serve();
  }

  get port(): number {
    return this.#port;
  }

  /** Accepts no further connection and answers the requests that are complete. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#subscription[Symbol.dispose]();
    this.#isStopping = true;
    this.#endPause();
    this.#close();
    await this.#ended;
    for (const connection of this.#unread) closeQuietly(connection);
    await Promise.allSettled([...this.#connections]);
  }

  #listen(): TlsListener {
    const { hostname, identity, listen = listenTls } = this.#options;
    try {
      return listen({ hostname, port: this.#port }, identity.current());
    } catch (cause) {
      throw new Error(
        `cannot listen for attestations on ${hostname} port ${this.#port}: ${errorMessage(cause)}`,
        { cause },
      );
    }
  }

  /** The accept loop ends, and listens again with the newest certificate unless stopped. */
  #close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#listener.close();
  }

  async #serve(): Promise<void> {
    await this.#acceptAll();
    while (!this.#isStopping) {
      try {
        // Two listeners at one time would need SO_REUSEPORT; the gap is less than a millisecond.
        this.#listener = this.#listen();
        this.#isClosed = false;
      } catch (error) {
        logger.error("{problem}; trying again", { problem: errorMessage(error) });
        await this.#pause(listenPauseMs);
        continue;
      }
      await this.#acceptAll();
    }
  }

  /** Until the listener is closed. */
  async #acceptAll(): Promise<void> {
    while (!this.#isClosed) {
      try {
        this.#take(await this.#listener.accept());
      } catch (error) {
        if (this.#isClosed) return;
        logger.warn("cannot accept a connection: {problem}", { problem: errorMessage(error) });
        await this.#pause(acceptPauseMs);
      }
    }
  }

  #take(connection: Deno.TlsConn): void {
    const address = (connection.remoteAddr as Deno.NetAddr).hostname;
    const place = this.#options.limits.connect(address);
    if (place === undefined) return closeQuietly(connection);
    const served = this.#serveConnection(connection, address).finally(() => {
      place[Symbol.dispose]();
      this.#connections.delete(served);
    });
    this.#connections.add(served);
  }

  async #serveConnection(connection: Deno.TlsConn, address: string): Promise<void> {
    const { clock, limits, attestor } = this.#options;
    const late = new AbortController();
    using _end = clock.after(connectionMs, () => closeQuietly(connection));
    using _late = clock.after(attestationMs, () => late.abort(new Error("no time is left")));
    this.#unread.add(connection);
    try {
      await connection.handshake();
      await serveRequest(connection, {
        admits: () => limits.admits(address),
        attest: (request) => {
          this.#unread.delete(connection);
          return attestor.attest(request, late.signal).catch(failure);
        },
      });
    } catch {
      // Strangers' connections end in every way, and none of them is an event.
    } finally {
      this.#unread.delete(connection);
      closeQuietly(connection);
    }
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#endPause = resolve;
    using _timer = this.#options.clock.after(ms, resolve);
    await promise;
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

function listenTls(address: ListenAddress, pair: ServingPair): TlsListener {
  const { certificatePem: cert, privateKeyPem: key } = pair;
  return Deno.listenTls({ ...address, cert, key, alpnProtocols: ["http/1.1"] });
}

function closeQuietly(connection: Deno.TlsConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
