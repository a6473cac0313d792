import { ChannelCredentials, Client, connectivityState, status } from "@grpc/grpc-js";
import { type ClientTarget, parseTarget } from "./target.ts";
import { isAttemptLimitError } from "./attempt_limit.ts";
import { bearerTokenCredentials } from "./bearer_token.ts";
import { RpcError } from "../grpc/rpc_error.ts";
import { deferSessionClose } from "../grpc/deferred_session_close.ts";
import { redirectTransportLog } from "../grpc/transport_log.ts";

/** Where a client's calls go, and how it is sure who answers. */
export interface ChannelOptions {
  /** "unix:///path/to.sock", "https://host:port", or "http://host:port" for plaintext. */
  address: string;
  /** PEM. Looked at again whenever there is no connection; the system's CAs when left out. */
  trustBundle?: (() => string) | undefined;
  /** The name that the server's certificate must bear, where it is not the address's. */
  serverName?: string | undefined;
  /** A bearer token, asked for before each call; only over https. */
  token?: (() => Promise<string | undefined>) | undefined;
  /** Shown to the server; looked at again with the trust bundle. */
  clientIdentity?: (() => ClientIdentity) | undefined;
}

/** A client's certificate (the leaf first, then intermediates) and its PKCS#8 key. */
export interface ClientIdentity {
  certificatePem: string;
  privateKeyPem: string;
}

interface Credentials {
  readonly roots: string | undefined;
  readonly identity: ClientIdentity | undefined;
}

const settings = {
  "grpc.enable_channelz": 0,
  // A server that comes back is found within seconds, whatever the length of its absence.
  "grpc.initial_reconnect_backoff_ms": 250,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.dns_min_time_between_resolutions_ms": 5_000,
  // Without it a server that vanished in the middle of a stream is never missed.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // An environment's http_proxy is not meant for the inside of a cluster, nor a TXT record for us.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // The shared pool keeps connections for ten seconds after their channel was closed.
  "grpc.use_local_subchannel_pool": 1,
};

/** A grpc-js client, made anew when the trust bundle or the client's certificate has changed. */
export class Channel implements Disposable {
  readonly #options: ChannelOptions;
  readonly #target: ClientTarget;
  readonly #running = new Set<{ cancel(): void }>();
  #open: { client: Client; credentials: Credentials } | undefined;
  #disposed = false;

  /** Throws a TypeError for an address that is none, a token in plaintext, and an IP address over TLS without a name. */
  constructor(options: ChannelOptions) {
    const { address, token, serverName } = options;
    this.#options = options;
    this.#target = parseTarget(address);
    if (token !== undefined && !this.#target.tls) {
      throw new TypeError(`a token is sent over https only, not to ${address}`);
    }
    if (this.#target.tls && this.#target.numeric && serverName === undefined) {
      // RFC 6066, section 3: a server's name in TLS is never an address.
      throw new TypeError(`${address} is an IP address: say which name its certificate bears`);
    }
    redirectTransportLog();
    deferSessionClose();
  }

  get isDisposed(): boolean {
    return this.#disposed;
  }

  /** The client for the next call. Throws an RpcError when there is no material to make one from. */
  client(): Client {
    if (this.#disposed) throw new RpcError(status.CANCELLED, "the client has been closed");
    const connected = this.#open?.client.getChannel().getConnectivityState(false) ===
      connectivityState.READY;
    if (!connected) this.#renew();
    return this.#open!.client;
  }

  /**
   * To be told of each call's failure: an unreachable server may be one that our old trust bundle
   * refuses. Answers whether the call never left and can be made again.
   */
  reportFailure(client: Client, error: unknown): boolean {
    if (this.#disposed || !(error instanceof RpcError) || client !== this.#open?.client) {
      return false;
    }
    if (isAttemptLimitError(error)) {
      this.#open = undefined;
      client.close();
      return true;
    }
    if (error.code === status.UNAVAILABLE) this.#renew();
    return false;
  }

  /** Makes disposing the channel cancel a call, until the call is over. */
  track(call: { cancel(): void }): Disposable {
    this.#running.add(call);
    return { [Symbol.dispose]: () => void this.#running.delete(call) };
  }

  /** Calls on the old connection go on. */
  #renew(): void {
    const old = this.#open;
    try {
      const credentials = this.#readCredentials();
      if (old !== undefined && sameCredentials(old.credentials, credentials)) return;
      this.#open = { client: this.#connect(credentials), credentials };
    } catch (cause) {
      // A file in the middle of its replacement is no reason to lose what worked.
      if (old !== undefined) return;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new RpcError(
        status.UNAVAILABLE,
        `no connection to ${this.#options.address} can be made: ${reason}`,
        { cause },
      );
    }
    old?.client.close();
  }

  #readCredentials(): Credentials {
    if (!this.#target.tls) return { roots: undefined, identity: undefined };
    const roots = this.#options.trustBundle?.();
    if (roots !== undefined && !roots.includes("-----BEGIN CERTIFICATE-----")) {
      // An empty one must never come to mean the system's CAs.
      throw new Error("the trust bundle holds no PEM certificate");
    }
    return { roots, identity: this.#options.clientIdentity?.() };
  }

  #connect(credentials: Credentials): Client {
    const { serverName } = this.#options;
    return new Client(this.#target.target, this.#channelCredentials(credentials), {
      ...settings,
      ...(serverName !== undefined && this.#target.tls && {
        "grpc.ssl_target_name_override": serverName,
        "grpc.default_authority": serverName,
      }),
    });
  }

  #channelCredentials({ roots, identity }: Credentials): ChannelCredentials {
    if (!this.#target.tls) return ChannelCredentials.createInsecure();
    const bytes = (text: string | undefined) => text === undefined ? null : Buffer.from(text);
    const tls = ChannelCredentials.createSsl(
      bytes(roots),
      bytes(identity?.privateKeyPem),
      bytes(identity?.certificatePem),
    );
    const { token } = this.#options;
    return token === undefined ? tls : tls.compose(bearerTokenCredentials(token));
  }

  [Symbol.dispose](): void {
    this.#disposed = true;
    for (const call of [...this.#running]) call.cancel();
    this.#open?.client.close();
  }
}

function sameCredentials(a: Credentials, b: Credentials): boolean {
  return a.roots === b.roots && a.identity?.certificatePem === b.identity?.certificatePem &&
    a.identity?.privateKeyPem === b.identity?.privateKeyPem;
}
