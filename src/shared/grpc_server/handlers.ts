import type { DescMessage, DescMethod, DescService, Message } from "@bufbuild/protobuf";
import {
  type handleBidiStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type ServerDuplexStream,
  type ServerWritableStream,
  status,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { once } from "node:events";
import { deliver, type HandlerOptions, runCall } from "./call.ts";
import { decodeMessage, encodeMessage } from "../grpc/message_codec.ts";
import { RpcError } from "../grpc/rpc_error.ts";
import { abortable } from "../scheduler/abort_signals.ts";
import {
  type AnyMessageInit,
  type CallContext,
  methodPath,
  type UntypedImplementation,
} from "../grpc/service_definition.ts";

type Writing = ServerWritableStream<Buffer, Buffer> | ServerDuplexStream<Buffer, Buffer>;

/** grpc-js handlers for a service whose definition comes from serviceDefinition(). */
export function handlers(
  desc: DescService,
  implementation: UntypedImplementation,
  options: HandlerOptions & MessageLimits,
): UntypedServiceImplementation {
  return Object.fromEntries(desc.methods.map((method) => {
    const answer = implementation[method.localName]?.bind(implementation);
    if (answer === undefined) throw new TypeError(`${methodPath(method)} has no implementation`);
    const maxBytes = options.maxMessageBytes?.[method.localName] ?? options.defaultBytes;
    return [method.localName, handler(method, answer, { ...options, maxBytes })];
  }));
}

export interface MessageLimits {
  /** By the local name of a method. */
  readonly maxMessageBytes?: Readonly<Record<string, number>> | undefined;
  /** For the other methods. */
  readonly defaultBytes: number;
}

interface MethodOptions extends HandlerOptions {
  readonly maxBytes: number;
}

type Answer = (request: unknown, context: CallContext) => unknown;

function handler(method: DescMethod, answer: Answer, options: MethodOptions) {
  switch (method.methodKind) {
    case "unary":
      return unary(method, answer, options);
    case "server_streaming":
      return serverStreaming(method, answer, options);
    case "bidi_streaming":
      return bidi(method, answer, options);
    case "client_streaming":
      throw new TypeError(`${methodPath(method)}: client streaming is not supported here`);
  }
}

function unary(
  method: DescMethod,
  answer: Answer,
  options: MethodOptions,
): handleUnaryCall<Buffer, Buffer> {
  return async (call, callback) => {
    let response: Buffer | null = null;
    const failure = await runCall(call, method, options, async (context) => {
      const init = await answer(decoded(method, call.request, options), context);
      response = encodeMessage(method.output, init as AnyMessageInit);
    });
    deliver(method, () => failure === undefined ? callback(null, response) : callback(failure));
  };
}

function serverStreaming(
  method: DescMethod,
  answer: Answer,
  options: MethodOptions,
): handleServerStreamingCall<Buffer, Buffer> {
  return (call) =>
    stream(
      call,
      method,
      options,
      (context) => answer(decoded(method, call.request, options), context),
    );
}

function bidi(
  method: DescMethod,
  answer: Answer,
  options: MethodOptions,
): handleBidiStreamingCall<Buffer, Buffer> {
  return (call) =>
    stream(call, method, options, (context) => answer(requests(call, method, options), context));
}

async function* requests(
  call: ServerDuplexStream<Buffer, Buffer>,
  method: DescMethod,
  options: MethodOptions,
) {
  // The iterator would destroy the stream at the end of the requests, responses unsent.
  for await (const bytes of call.iterator({ destroyOnReturn: false })) {
    yield decoded(method, bytes, options);
  }
}

async function stream(
  call: Writing,
  method: DescMethod,
  options: HandlerOptions,
  respond: (context: CallContext) => unknown,
): Promise<void> {
  const failure = await runCall(call, method, options, async (context) => {
    const responses = respond(context) as AsyncIterable<AnyMessageInit>;
    await send(call, responses, method.output, context.signal);
  });
  deliver(method, () => failure === undefined ? call.end() : call.emit("error", failure));
}

async function send(
  call: Writing,
  responses: AsyncIterable<AnyMessageInit>,
  schema: DescMessage,
  signal: AbortSignal,
): Promise<void> {
  const iterator = responses[Symbol.asyncIterator]();
  let finished = false;
  try {
    for (;;) {
      const next = await abortable(iterator.next(), signal);
      finished = next.done === true;
      if (finished) return;
      const taken = call.write(encodeMessage(schema, next.value));
      if (!taken) await abortable(once(call, "drain"), signal);
    }
  } finally {
    // Not awaited: an iterator that waits for something else would hold the call.
    if (!finished) iterator.return?.().catch(() => {});
  }
}

/** Checks the length first: it is what bounds the work of the decoder. */
function decoded(method: DescMethod, bytes: Uint8Array, { maxBytes }: MethodOptions): Message {
  if (bytes.length > maxBytes) {
    const problem = `the request has ${bytes.length} bytes, and ${method.name} takes ${maxBytes}`;
    throw new RpcError(status.RESOURCE_EXHAUSTED, problem);
  }
  const result = decodeMessage(method.input, bytes);
  if (result.kind === "message") return result.message;
  throw new RpcError(status.INVALID_ARGUMENT, result.problem);
}
