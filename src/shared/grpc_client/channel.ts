import { Metadata, status } from "@grpc/grpc-js";
import { ServerBounds } from "./bounded_credentials.ts";
import { type ClientTarget, parseTarget } from "./target.ts";
import { isAttemptLimitError } from "./attempt_limit.ts";
import type { ClientIdentitySource } from "./client_identity.ts";
import {
  cancelCalls,
  type Connection,
  type ConnectionCredentials,
  isReady,
  openConnection,
  sameCredentials,
} from "./connection.ts";
import { guardPeerCertificates } from "./peer_certificate_guard.ts";
import { readTrustAnchors } from "./trust_anchors.ts";
import { RpcError } from "../grpc/rpc_error.ts";
import { deferSessionClose } from "../grpc/deferred_session_close.ts";
import { redirectTransportLog } from "../grpc/transport_log.ts";
import { onAbort } from "../scheduler/abort_signals.ts";
import type { Clock } from "../scheduler/clock.ts";
import { systemClock } from "../scheduler/system_clock.ts";
import { errorMessage } from "../text/error_message.ts";

/** Where a client's calls go, and how it authenticates the server. */
export interface ChannelOptions {
  /** "unix:///path/to.sock", "https://host:port", or "http://host:port" for plaintext. */
  address: string;
  /** PEM. Read again whenever there is no connection; the system's CAs when absent. */
  trustBundle?: (() => string) | undefined;
  /** The name that the server's certificate must contain, where it is not the host of the address. */
  serverName?: string | undefined;
  /** Shown to the server; a call made after it was replaced uses a new connection. */
  clientIdentity?: ClientIdentitySource | undefined;
  /** For the limits of what the server sends. The system's unless given. */
  clock?: Clock | undefined;
}

/** The message of grpc-js for a call that was never sent because its channel was closed in the meantime. */
const neverSent = "Channel closed before call started";

/**
 * The connection that new calls use. A renewed identity and a changed trust bundle lead to a new one; calls that run
 * continue on the old one, which closes after the last of them and before its certificate expires.
 */
export class Channel implements Disposable {
  readonly #options: ChannelOptions;
  readonly #target: ClientTarget;
  readonly #bounds: ServerBounds;
  /** Those that are closed for new calls and have calls that run, each with what waits for its certificate's expiry. */
  readonly #retired = new Map<Connection, Disposable | undefined>();
  #open: Connection | undefined;
  #disposed = false;

  /** Throws a TypeError for an address that is none, and for an IP address over TLS without a name. */
  constructor(options: ChannelOptions) {
    const { address, serverName, clock = systemClock } = options;
    this.#options = options;
    this.#target = parseTarget(address);
    if (this.#target.tls && this.#target.numeric && serverName === undefined) {
      // RFC 6066, section 3: a server's name in TLS is never an address.
      throw new TypeError(
        `${address} is an IP address: set serverName to the name in its certificate`,
      );
    }
    this.#bounds = new ServerBounds(address, clock);
    redirectTransportLog();
    deferSessionClose();
    guardPeerCertificates();
  }

  get isDisposed(): boolean {
    return this.#disposed;
  }

  /** The connection for the next call. Throws an RpcError when there is nothing to make one with. */
  connection(): Connection {
    if (this.#disposed) throw new RpcError(status.CANCELLED, "the client has been closed");
    const open = this.#open;
    if (open === undefined || !isReady(open) || !this.#isUpToDate(open)) this.#renew();
    return this.#open!;
  }

  /** Receives that the server answered a call. */
  reportAnswer(connection: Connection): void {
    if (connection === this.#open) this.#options.clientIdentity?.report("answered");
  }

  /**
   * Receives each call's failure: an unreachable server may be one that our old trust bundle refuses, or one that
   * refuses our identity. Returns whether the call was not executed and can be made again on another connection.
   */
  reportFailure(connection: Connection, error: unknown): boolean {
    if (this.#disposed || !(error instanceof RpcError)) return false;
    if (error.code === status.UNAUTHENTICATED) return this.#refused(connection);
    if (isAnswer(error)) this.reportAnswer(connection);
    if (error.code !== status.UNAVAILABLE) return false;
    if (connection !== this.#open) return error.message.endsWith(neverSent);
    if (isAttemptLimitError(error)) {
      this.#drop(connection);
      return true;
    }
    // The connection's state is no evidence: it is still READY while the calls of a lost one fail.
    if (!isAnswer(error)) this.#options.clientIdentity?.report("unreachable");
    this.#renew();
    return false;
  }

  /** Makes disposing the channel cancel a call, until the call has ended. */
  track(connection: Connection, call: { cancel(): void }): Disposable {
    connection.calls.add(call);
    return {
      [Symbol.dispose]: () => {
        connection.calls.delete(call);
        if (connection.calls.size > 0) return;
        this.#retired.get(connection)?.[Symbol.dispose]();
        this.#retired.delete(connection);
      },
    };
  }

  #isUpToDate({ credentials }: Connection): boolean {
    const identity = this.#options.clientIdentity?.current();
    // What worked is used as long as there is nothing newer.
    return identity === undefined || identity === credentials.identity;
  }

  /** The identity was not accepted: a verdict on the connection's certificate, so that the next call needs a new one. */
  #refused(connection: Connection): boolean {
    const { clientIdentity } = this.#options;
    if (clientIdentity === undefined) return false;
    if (connection === this.#open) {
      // May have a new identity at once, as after files were replaced.
      clientIdentity.report("unauthenticated");
      this.#drop(connection);
    }
    return !this.#isUpToDate(connection);
  }

  #renew(): void {
    const old = this.#open;
    try {
      const credentials = this.#readCredentials(old?.credentials);
      if (old !== undefined && sameCredentials(old.credentials, credentials)) return;
      this.#open = openConnection(this.#target, credentials, {
        serverName: this.#options.serverName,
        bounds: this.#bounds,
      });
    } catch (cause) {
      // A file in the middle of its replacement is no reason to lose what worked.
      if (old !== undefined) return;
      const reason = errorMessage(cause);
      throw new RpcError(
        status.UNAVAILABLE,
        `no connection to ${this.#options.address} can be made: ${reason}`,
        { cause },
      );
    }
    if (old !== undefined) this.#retire(old);
  }

  #drop(connection: Connection): void {
    this.#open = undefined;
    this.#retire(connection);
  }

  /** Calls on the old connection continue until its certificate is about to expire. */
  #retire(old: Connection): void {
    old.client.close();
    if (old.calls.size === 0) return;
    const expiring = old.credentials.identity?.expiring;
    this.#retired.set(old, expiring && onAbort(expiring, () => cancelCalls(old)));
  }

  #readCredentials(last: ConnectionCredentials | undefined): ConnectionCredentials {
    if (!this.#target.tls) return { roots: undefined, identity: undefined };
    const { clientIdentity } = this.#options;
    const identity = clientIdentity?.current() ?? last?.identity;
    if (clientIdentity !== undefined && identity === undefined) {
      throw new Error(clientIdentity.problem ?? "there is no client certificate yet");
    }
    return { roots: this.#readRoots(last), identity };
  }

  #readRoots(last: ConnectionCredentials | undefined): string | undefined {
    const { trustBundle } = this.#options;
    if (trustBundle === undefined) return undefined;
    try {
      // An empty one must never come to mean the system's CAs.
      return readTrustAnchors(trustBundle());
    } catch (error) {
      // A renewed identity is used with the bundle that worked.
      if (last?.roots !== undefined) return last.roots;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const connection of this.#retired.keys()) cancelCalls(connection);
    if (this.#open === undefined) return;
    cancelCalls(this.#open);
    this.#open.client.close();
  }
}

/** Whether the server sent the error: grpc-js's own errors have no headers. */
function isAnswer({ cause }: RpcError): boolean {
  const isStatus = cause instanceof Error && "metadata" in cause;
  return isStatus && cause.metadata instanceof Metadata &&
    cause.metadata.get("content-type").length > 0;
}
