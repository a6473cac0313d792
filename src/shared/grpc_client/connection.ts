import { ChannelCredentials, Client, connectivityState } from "@grpc/grpc-js";
import { BoundedCredentials, type ServerBounds } from "./bounded_credentials.ts";
import type { ClientIdentity } from "./client_identity.ts";
import type { ClientTarget } from "./target.ts";

/** What a connection is made with; another one is needed when it changes. */
export interface ConnectionCredentials {
  /** PEM; undefined for the system's CAs. */
  readonly roots: string | undefined;
  readonly identity: ClientIdentity | undefined;
}

/** A grpc-js client, what it connects with, and the calls that run on it. */
export interface Connection {
  readonly client: Client;
  readonly credentials: ConnectionCredentials;
  readonly calls: Set<{ cancel(): void }>;
}

export interface ConnectionOptions {
  readonly serverName?: string | undefined;
  /** Of what a server sends. */
  readonly bounds: ServerBounds;
}

const settings = {
  "grpc.enable_channelz": 0,
  // A server that is available again is found within seconds, however long it was absent.
  "grpc.initial_reconnect_backoff_ms": 250,
  "grpc.max_reconnect_backoff_ms": 5_000,
  "grpc.dns_min_time_between_resolutions_ms": 5_000,
  // Without it a server that vanished in the middle of a stream is never detected.
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  // An environment's http_proxy is not meant for the inside of a cluster, nor a TXT record for us.
  "grpc.enable_http_proxy": 0,
  "grpc.service_config_disable_resolution": 1,
  // The shared pool keeps connections for ten seconds after their channel was closed.
  "grpc.use_local_subchannel_pool": 1,
};

/** A connection to the target; it is made at the first call. */
export function openConnection(
  { target, tls, local }: ClientTarget,
  credentials: ConnectionCredentials,
  { serverName, bounds }: ConnectionOptions,
): Connection {
  const channelCredentials = tls
    ? tlsCredentials(credentials)
    : ChannelCredentials.createInsecure();
  const bounded = local ? channelCredentials : new BoundedCredentials(channelCredentials, bounds);
  const client = new Client(target, bounded, {
    ...settings,
    ...(serverName !== undefined && tls && {
      "grpc.ssl_target_name_override": serverName,
      "grpc.default_authority": serverName,
    }),
  });
  return { client, credentials, calls: new Set() };
}

function tlsCredentials({ roots, identity }: ConnectionCredentials): ChannelCredentials {
  const bytes = (text: string | undefined) => text === undefined ? null : Buffer.from(text);
  return ChannelCredentials.createSsl(
    bytes(roots),
    bytes(identity?.privateKeyPem),
    bytes(identity?.certificatePem),
  );
}

/** Whether the connection is established. */
export function isReady({ client }: Connection): boolean {
  return client.getChannel().getConnectivityState(false) === connectivityState.READY;
}

/** Cancels all calls that run on the connection. */
export function cancelCalls({ calls }: Connection): void {
  for (const call of [...calls]) call.cancel();
}

export function sameCredentials(a: ConnectionCredentials, b: ConnectionCredentials): boolean {
  return a.roots === b.roots && a.identity?.certificatePem === b.identity?.certificatePem &&
    a.identity?.privateKeyPem === b.identity?.privateKeyPem;
}
