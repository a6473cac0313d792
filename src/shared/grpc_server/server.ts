/**
 * This folder serves gRPC on a unix socket or on TCP with TLS. It limits what a client can use, and
 * stops in order. Its main functions are `serveUnix` and `serveTcp`; its main types are
 * `ServerOptions`, `RegisteredService` and `TlsIdentitySource`. It never knows which services it
 * serves.
 */

import type { DescService } from "@bufbuild/protobuf";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { Clock } from "../scheduler/clock.ts";
import type { CompletedCall } from "./call.ts";
import { handlers } from "./handlers.ts";
import { ActiveCalls } from "./open_calls.ts";
import { RpcError } from "../grpc/rpc_error.ts";
import {
  methodPath,
  serviceDefinition,
  type ServiceImplementation,
  type UntypedImplementation,
} from "../grpc/service_definition.ts";
import { systemClock } from "../scheduler/system_clock.ts";
import type { ListenAddress } from "../text/network_address.ts";
import { AcceptPath } from "./accept_path.ts";
import { CallAdmission } from "./call_admission.ts";
import type { ConnectionLimits, ConnectionRefusal, OpenConnections } from "./connection_limits.ts";
import { ServerConnections } from "./connections.ts";
import { deferSessionClose } from "../grpc/deferred_session_close.ts";
import type { PeerVerifier } from "./peer_verifier.ts";
import type { TlsIdentitySource } from "./tls_credentials.ts";
import { redirectTransportLog } from "../grpc/transport_log.ts";
import { claimSocketPath } from "./unix_socket.ts";

/** A service and its implementation, whose message types the compiler has compared. */
export interface RegisteredService {
  readonly desc: DescService;
  readonly implementation: UntypedImplementation;
  /** By the local name of a method: a longer request is answered RESOURCE_EXHAUSTED. */
  readonly maxMessageBytes?: Readonly<Record<string, number>> | undefined;
}

export interface ServerOptions {
  services: RegisteredService[];
  /** A longer request to a method without a limit of its own is answered RESOURCE_EXHAUSTED; 64 KiB unless stated. */
  maxMessageBytes?: number;
  /** How long calls may continue after the server begins to stop, in milliseconds; 10 s unless stated. */
  graceMs?: number;
  /** Called when an answer is settled. */
  onCall?: (call: CompletedCall) => void;
}

export interface TcpServerOptions extends ServerOptions {
  /** Plaintext without it. */
  tls?: TlsIdentitySource | undefined;
  /** Required where the TLS identity has CAs for client certificates, and only there. */
  peers?: PeerVerifier | undefined;
  /** The system's unless stated. */
  clock?: Clock | undefined;
  limits?: Partial<ConnectionLimits> | undefined;
  /** Called when a connection is not accepted, or is closed for what its client is or does. */
  onRefusal?: ((why: ConnectionRefusal) => void) | undefined;
}

/** A server on a TCP port; disposing stops it. */
export interface TcpServer extends AsyncDisposable {
  readonly port: number;
  readonly connections: OpenConnections;
}

/** A server on a unix socket; disposing stops it. */
export interface UnixServer extends AsyncDisposable {
  readonly path: string;
  /** Whether its path still is this server's socket: without it no client can connect. */
  isPublished(): boolean;
}

const defaultMaxMessageBytes = 64 * 1024;
const defaultGraceMs = 10_000;
/** Time in which an aborted call can still send its status. */
const abortGraceMs = 1_000;

const settings = {
  // Nothing reads channelz, and it keeps a trace of every connection.
  "grpc.enable_channelz": 0,
  // Detects clients that vanished without closing. Idle ones answer the ping and stay connected.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

/**
 * How many calls one connection may have open; the client keeps the others back. A kubelet has
 * calls that wait for minutes, and none of them may block another. There are many drivers, each with a
 * connection: what all of them send at once is read in one iteration of the event loop, and it costs
 * them nothing when it arrives in parts.
 */
const streams = { unix: 256, tcp: 32 };

/** Pairs a service with its implementation, and its methods with limits for their requests. */
export function registerService<S extends DescService>(
  desc: S,
  implementation: ServiceImplementation<S>,
  maxMessageBytes?: Partial<Record<keyof ServiceImplementation<S>, number>>,
): RegisteredService {
  return {
    desc,
    implementation: implementation as unknown as UntypedImplementation,
    maxMessageBytes: maxMessageBytes as Record<string, number> | undefined,
  };
}

/**
 * Serves on a unix socket that only its owner and root can connect to. Rejects when the path is served by
 * another process or is no socket. Disposal stops accepting, lets the calls end, then aborts what remains.
 */
export async function serveUnix(
  path: string,
  options: ServerOptions,
): Promise<UnixServer> {
  const claimed = await claimSocketPath(path);
  const running = new RunningServer(options, streams.unix);
  try {
    await running.listenUnix(claimed.listenAt);
    await claimed.publish();
  } catch (error) {
    await running.stop();
    throw error;
  }
  return {
    path,
    isPublished: claimed.isPublished,
    [Symbol.asyncDispose]: async () => {
      // Both begin before the first await, so that a client that connects from now on finds no server.
      try {
        claimed.withdraw();
      } finally {
        await running.stop();
      }
    },
  };
}

/** Serves on the address (port 0: any free one), in plaintext when no identity is given, else TLS 1.3. */
export async function serveTcp(
  address: ListenAddress,
  options: TcpServerOptions,
): Promise<TcpServer> {
  const running = new RunningServer(options, streams.tcp, options.clock);
  const { connections, port } = await running.listenTcp(address, options);
  return {
    port,
    get connections() {
      return connections.open;
    },
    [Symbol.asyncDispose]: () => running.stop(),
  };
}

class RunningServer {
  readonly #server: Server;
  readonly #calls = new ActiveCalls();
  readonly #admission: CallAdmission;
  readonly #graceMs: number;
  #connections: Pick<AcceptPath, "stopAccepting" | "close"> | undefined;

  constructor(options: ServerOptions, mostStreams: number, clock = systemClock) {
    redirectTransportLog();
    deferSessionClose();
    this.#graceMs = options.graceMs ?? defaultGraceMs;
    this.#admission = new CallAdmission({
      clock,
      streamingPaths: new Set(options.services.flatMap(({ desc }) => streamingPaths(desc))),
    });
    const defaultBytes = options.maxMessageBytes ?? defaultMaxMessageBytes;
    const limits = options.services.flatMap(({ maxMessageBytes = {} }) =>
      Object.values(maxMessageBytes)
    );
    this.#server = new Server({
      ...settings,
      "grpc.max_concurrent_streams": mostStreams,
      "grpc.max_receive_message_length": Math.max(defaultBytes, ...limits),
      interceptors: [this.#admission.interceptor],
    });
    this.#admission.limitHeaders(this.#server);
    for (const { desc, implementation, maxMessageBytes } of options.services) {
      const { onCall } = options;
      const calls = { calls: this.#calls, onCall, maxMessageBytes, defaultBytes };
      this.#server.addService(serviceDefinition(desc), handlers(desc, implementation, calls));
    }
  }

  async listenUnix(path: string): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.#server.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(new Error(`cannot listen on ${path}: ${error.message}`, { cause: error }));
      })
    );
    this.#connections = new ServerConnections(this.#server);
    this.#admission.guard(this.#server);
  }

  async listenTcp(address: ListenAddress, options: TcpServerOptions) {
    const injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());
    this.#admission.guard(this.#server);
    const connections = new AcceptPath({
      ...options,
      clock: options.clock ?? systemClock,
      inject: (connection, peer) =>
        this.#admission.enter(peer, () => injector.injectConnection(connection)),
    });
    const port = await connections.listen(address);
    this.#connections = connections;
    return { connections, port };
  }

  /**
   * Stops accepting, lets the calls end, and closes the connections without the usual GOAWAY: it crashes
   * Deno 2.9's HTTP/2 client, which drivers use (memory that was freed).
   */
  async stop(): Promise<void> {
    const reason = new RpcError(status.UNAVAILABLE, "the server is stopping");
    this.#connections?.stopAccepting();
    this.#calls.rejectNewCalls(reason);
    if (!await within(this.#calls.allCompleted(), this.#graceMs)) {
      this.#calls.abortAll(reason);
      await within(this.#calls.allCompleted(), abortGraceMs);
    }
    await this.#connections?.close();
    this.#admission[Symbol.dispose]();
    this.#server.forceShutdown();
  }
}

function streamingPaths({ methods }: DescService): string[] {
  return methods.filter(({ methodKind }) => /client|bidi/.test(methodKind)).map(methodPath);
}

/** Whether the promise is fulfilled before so many milliseconds have passed. */
async function within(promise: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise: late, resolve } = Promise.withResolvers<boolean>();
  const timer = setTimeout(() => resolve(false), ms);
  try {
    return await Promise.race([promise.then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
