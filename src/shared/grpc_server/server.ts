/**
 * This folder serves gRPC on a unix socket or on TCP with TLS. It limits what a client can use, and
 * stops in order. Its main functions are `serveUnix` and `serveTcp`; its main types are
 * `ServerOptions`, `RegisteredService` and `TlsIdentitySource`. It never knows which services it
 * serves.
 */

import type { DescService } from "@bufbuild/protobuf";
import { Server, ServerCredentials, status } from "@grpc/grpc-js";
import type { CompletedCall } from "./call.ts";
import { handlers } from "./handlers.ts";
import { ActiveCalls } from "./open_calls.ts";
import { RpcError } from "../grpc/rpc_error.ts";
import {
  serviceDefinition,
  type ServiceImplementation,
  type UntypedImplementation,
} from "../grpc/service_definition.ts";
import { ServerConnections } from "./connections.ts";
import { deferSessionClose } from "../grpc/deferred_session_close.ts";
import { ReloadingCredentials, type TlsIdentitySource } from "./tls_credentials.ts";
import { redirectTransportLog } from "../grpc/transport_log.ts";
import { claimSocketPath } from "./unix_socket.ts";

/** A service and what answers it, their message types checked against each other. */
export interface RegisteredService {
  readonly desc: DescService;
  readonly implementation: UntypedImplementation;
}

export interface ServerOptions {
  services: RegisteredService[];
  /** A longer request is answered RESOURCE_EXHAUSTED; 64 KiB unless told. */
  maxMessageBytes?: number;
  /** How long calls may go on after stopping began, in milliseconds; 10 s unless told. */
  graceMs?: number;
  /** Called when an answer is settled; must not throw. */
  onCall?: (call: CompletedCall) => void;
}

const defaultMaxMessageBytes = 64 * 1024;
const defaultGraceMs = 10_000;
/** What is aborted may still say why: time for that, not for work. */
const abortGraceMs = 1_000;

const settings = {
  // Nothing reads channelz, and it keeps a trace of every connection.
  "grpc.enable_channelz": 0,
  // Finds clients that vanished without a word. Idle ones answer the ping and live.
  "grpc.keepalive_time_ms": 60_000,
  "grpc.keepalive_timeout_ms": 20_000,
};

/**
 * How many calls one connection may have open; the client keeps the others back. A kubelet has
 * calls that wait for minutes, and none of them may keep another from being heard. Of the drivers
 * there are many, each with a connection: what all of them send at once is read in one turn of the
 * event loop, and they lose nothing when it comes in parts.
 */
const streams = { unix: 256, tcp: 32 };

/** Pairs a service with its implementation. */
export function registerService<S extends DescService>(
  desc: S,
  implementation: ServiceImplementation<S>,
): RegisteredService {
  return { desc, implementation: implementation as unknown as UntypedImplementation };
}

/**
 * Serves on a unix socket of the given mode (0600 unless told). Rejects when the path is served by
 * another process or is no socket. Disposing stops accepting, drains, then aborts what is left.
 */
export async function serveUnix(
  path: string,
  options: ServerOptions & { mode?: number },
): Promise<AsyncDisposable & { path: string }> {
  const claimed = await claimSocketPath(path);
  const running = new RunningServer(options, streams.unix);
  try {
    await running.listen(`unix:${claimed.listenAt}`, ServerCredentials.createInsecure());
    await claimed.publish(options.mode ?? 0o600);
  } catch (error) {
    await running.stop();
    throw error;
  }
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      // Both begin before the first await: whoever connects from now on finds nobody.
      try {
        claimed.withdraw();
      } finally {
        await running.stop();
      }
    },
  };
}

/** Serves on "host:port" (port 0: any free one), in plaintext when no identity is given, else TLS 1.2 or later. */
export async function serveTcp(
  address: string,
  options: ServerOptions & { tls?: TlsIdentitySource },
): Promise<AsyncDisposable & { port: number }> {
  using undo = new DisposableStack();
  const credentials = options.tls === undefined
    ? ServerCredentials.createInsecure()
    : undo.use(new ReloadingCredentials(options.tls));
  const running = new RunningServer(options, streams.tcp);
  const port = await running.listen(address, credentials);
  const following = undo.move();
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      following.dispose();
      await running.stop();
    },
  };
}

class RunningServer {
  readonly #server: Server;
  readonly #calls = new ActiveCalls();
  readonly #sockets = new ServerConnections();
  readonly #graceMs: number;

  constructor(options: ServerOptions, mostStreams: number) {
    redirectTransportLog();
    deferSessionClose();
    this.#graceMs = options.graceMs ?? defaultGraceMs;
    this.#server = new Server({
      ...settings,
      "grpc.max_concurrent_streams": mostStreams,
      "grpc.max_receive_message_length": options.maxMessageBytes ?? defaultMaxMessageBytes,
    });
    for (const { desc, implementation } of options.services) {
      const calls = { calls: this.#calls, onCall: options.onCall };
      this.#server.addService(serviceDefinition(desc), handlers(desc, implementation, calls));
    }
  }

  listen(address: string, credentials: ServerCredentials): Promise<number> {
    return new Promise((resolve, reject) =>
      this.#server.bindAsync(address, credentials, (error, port) => {
        if (error === null) {
          this.#sockets.track(this.#server);
          resolve(port);
        } else reject(new Error(`cannot listen on ${address}: ${error.message}`, { cause: error }));
      })
    );
  }

  /**
   * Takes nobody in any more, lets the calls end, and closes the connections without the GOAWAY that
   * is usual: Deno 2.9's HTTP/2 client, which drivers are, dies of it (memory that was freed).
   */
  async stop(): Promise<void> {
    const reason = new RpcError(status.UNAVAILABLE, "the server is stopping");
    this.#sockets.stopAccepting();
    this.#calls.rejectNewCalls(reason);
    if (!await within(this.#calls.allCompleted(), this.#graceMs)) {
      this.#calls.abortAll(reason);
      await within(this.#calls.allCompleted(), abortGraceMs);
    }
    await this.#sockets.close();
    this.#server.forceShutdown();
  }
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
