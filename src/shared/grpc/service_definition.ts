/**
 * This folder contains what a gRPC client and a gRPC server share: the coding of messages, the
 * definition of services, errors with a status, and two workarounds for Deno's HTTP/2. Its main
 * types are `ServiceImplementation`, `CallContext` and `RpcError`. It never opens a connection.
 */

import type {
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { ServiceDefinition } from "@grpc/grpc-js";

/** The call that a method's implementation answers. */
export interface CallContext {
  /** Aborted with an RpcError when the caller cancels, the deadline passes or the server stops. */
  readonly signal: AbortSignal;
  /** The caller's TLS certificate, DER, verified; undefined over a unix socket and without one. */
  readonly peerCertificate: Uint8Array | undefined;
}

type Answer<M extends DescMethod> = M extends DescMethodUnary<infer I, infer O>
  ? (request: MessageShape<I>, context: CallContext) => Promise<MessageInitShape<O>>
  : M extends DescMethodServerStreaming<infer I, infer O>
    ? (request: MessageShape<I>, context: CallContext) => AsyncIterable<MessageInitShape<O>>
  : M extends DescMethodBiDiStreaming<infer I, infer O> ? (
      requests: AsyncIterable<MessageShape<I>>,
      context: CallContext,
    ) => AsyncIterable<MessageInitShape<O>>
  : never;

/** A service as a plain object of functions, one for each method; an RpcError thrown becomes the call's status. */
export type ServiceImplementation<S extends DescService> = {
  [K in keyof S["method"]]: Answer<S["method"][K]>;
};

/** An implementation as the transport sees it, its message types forgotten. */
export type UntypedImplementation = Record<
  string,
  (request: unknown, context: CallContext) => unknown
>;

/** "/package.Service/Method", as on the wire. */
export function methodPath(method: DescMethod): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** The service for grpc-js. Messages pass as bytes: they are coded where a bad one can be answered by name. */
export function serviceDefinition(desc: DescService): ServiceDefinition {
  const bytes = (bytes: Buffer) => bytes;
  return Object.fromEntries(
    desc.methods.map((method) => [method.localName, {
      path: methodPath(method),
      originalName: method.name,
      requestStream: method.methodKind === "bidi_streaming" ||
        method.methodKind === "client_streaming",
      responseStream: method.methodKind === "bidi_streaming" ||
        method.methodKind === "server_streaming",
      requestSerialize: bytes,
      requestDeserialize: bytes,
      responseSerialize: bytes,
      responseDeserialize: bytes,
    }]),
  );
}

/** A message of unknown type: what the transport handles. */
export type AnyMessageInit = MessageInitShape<DescMessage>;
