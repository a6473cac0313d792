/**
 * This folder calls a gRPC service, over a connection that is replaced when the client's identity is
 * renewed, or the trust bundle or the service's servers change. Its main function is `connect`; its
 * main types are `Client`, `ChannelOptions` and `ClientIdentitySource`. It never retries a call that the server may have executed, and logs nothing but a server that sends too much.
 */

import type {
  DescMessage,
  DescMethod,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import { type CallOptions as GrpcCallOptions, Metadata, status } from "@grpc/grpc-js";
import { attemptLimitCredentials } from "./attempt_limit.ts";
import { Channel, type ChannelOptions } from "./channel.ts";
import { decodeMessage, encodeMessage } from "../grpc/message_codec.ts";
import { RpcError, toRpcError } from "../grpc/rpc_error.ts";
import { onAbort } from "../scheduler/abort_signals.ts";
import { type AnyMessageInit, methodPath } from "../grpc/service_definition.ts";
import { errorMessage } from "../text/error_message.ts";

export type { ChannelOptions } from "./channel.ts";

export interface CallOptions {
  /** Cancels the call. */
  signal?: AbortSignal | undefined;
  /** The call's deadline, in milliseconds from now. None unless given. */
  timeoutMs?: number | undefined;
}

type Calling<M extends DescMethod> = M extends DescMethodUnary<infer I, infer O>
  ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
  : M extends DescMethodServerStreaming<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: CallOptions) => AsyncIterable<MessageShape<O>>
  : never;

/** A service's methods as functions. They fail with an RpcError; a stream is cancelled when its reader ends early. */
export type Client<S extends DescService> = { [K in keyof S["method"]]: Calling<S["method"][K]> };

/** A client of a service; connects at its first call. Throws a TypeError for options that cannot be used. */
export function connect<S extends DescService>(
  desc: S,
  options: ChannelOptions,
): Client<S> & Disposable {
  const channel = new Channel(options);
  const methods: [string, unknown][] = [];
  for (const method of desc.methods) {
    if (method.methodKind === "unary") {
      methods.push([
        method.localName,
        (request: AnyMessageInit, options: CallOptions = {}) =>
          unary(channel, method, request, options),
      ]);
    } else if (method.methodKind === "server_streaming") {
      methods.push([
        method.localName,
        (request: AnyMessageInit, options: CallOptions = {}) =>
          serverStreaming(channel, method, request, options),
      ]);
    }
  }
  return {
    ...Object.fromEntries(methods) as Client<S>,
    [Symbol.dispose]: () => channel[Symbol.dispose](),
  };
}

const asBytes = (bytes: Buffer) => bytes;
/** A call that was not executed is made once more, on a new connection. */
const tries = 2;

async function unary(
  channel: Channel,
  method: DescMethod,
  request: AnyMessageInit,
  options: CallOptions,
): Promise<unknown> {
  const bytes = encoded(method.input, request);
  for (let n = 1;; n++) {
    refuseAborted(options);
    const connection = channel.connection();
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const call = connection.client.makeUnaryRequest(
      methodPath(method),
      asBytes,
      asBytes,
      bytes,
      new Metadata(),
      grpcOptions(options),
      (error, response) => error === null ? resolve(response!) : reject(toRpcError(error)),
    );
    using _tracked = channel.track(connection, call);
    using _aborted = options.signal && onAbort(options.signal, () => call.cancel());
    try {
      const response = await promise;
      channel.reportAnswer(connection);
      return decoded(method.output, response);
    } catch (thrown) {
      const error = unlessOurs(thrown, channel, options);
      if (!channel.reportFailure(connection, error) || n === tries) throw error;
    }
  }
}

async function* serverStreaming(
  channel: Channel,
  method: DescMethod,
  request: AnyMessageInit,
  options: CallOptions,
): AsyncGenerator<unknown> {
  const bytes = encoded(method.input, request);
  let isAnswered = false;
  for (let n = 1;; n++) {
    refuseAborted(options);
    const connection = channel.connection();
    const call = connection.client.makeServerStreamRequest(
      methodPath(method),
      asBytes,
      asBytes,
      bytes,
      new Metadata(),
      grpcOptions(options),
    );
    // After the loop no other listener exists, and the cancellation is emitted as an error.
    call.on("error", () => {});
    using _tracked = channel.track(connection, call);
    using _aborted = options.signal && onAbort(options.signal, () => call.cancel());
    try {
      for await (const response of call) {
        isAnswered = true;
        channel.reportAnswer(connection);
        yield decoded(method.output, response);
      }
      return;
    } catch (thrown) {
      const error = unlessOurs(toRpcError(thrown), channel, options);
      const isRepeatable = channel.reportFailure(connection, error) && !isAnswered;
      if (!isRepeatable || n === tries) throw error;
    } finally {
      call.cancel();
    }
  }
}

function grpcOptions({ timeoutMs }: CallOptions): GrpcCallOptions {
  const credentials = attemptLimitCredentials();
  return timeoutMs === undefined
    ? { credentials }
    : { credentials, deadline: Date.now() + timeoutMs };
}

function refuseAborted({ signal }: CallOptions): void {
  if (signal?.aborted) {
    throw new RpcError(status.CANCELLED, "cancelled before the call began", {
      cause: signal.reason,
    });
  }
}

/** A call that is cancelled, and not from this side, has lost its connection and can be made again. */
function unlessOurs(error: unknown, channel: Channel, { signal }: CallOptions): unknown {
  const ours = signal?.aborted || channel.isDisposed;
  if (ours || !(error instanceof RpcError) || error.code !== status.CANCELLED) return error;
  return new RpcError(status.UNAVAILABLE, "the connection has been closed", { cause: error });
}

function encoded(schema: DescMessage, request: AnyMessageInit): Buffer {
  try {
    return encodeMessage(schema, request);
  } catch (cause) {
    const reason = errorMessage(cause);
    throw new RpcError(status.INVALID_ARGUMENT, `the request cannot be sent: ${reason}`, { cause });
  }
}

function decoded(schema: DescMessage, bytes: Uint8Array): unknown {
  const result = decodeMessage(schema, bytes);
  if (result.kind === "message") return result.message;
  throw new RpcError(status.INTERNAL, `the server's answer cannot be read: ${result.problem}`);
}
