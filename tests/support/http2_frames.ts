/** HTTP/2 and gRPC as bytes, well-formed or not, by the encoders that the attacks use. */
import {
  grpcHeaders,
  grpcMessage as encodeMessage,
} from "../../scripts/attacks/http2/grpc_request.ts";
import { encodeHeaders, type HeaderPair } from "../../scripts/attacks/http2/hpack.ts";

export {
  frame,
  frameFlag,
  frameType,
  preface,
  repeat,
} from "../../scripts/attacks/http2/frames.ts";

/** A header block of literals that are not indexed and not Huffman-coded (RFC 7541, section 6.2.2). */
export function headerBlock(pairs: readonly HeaderPair[]): Uint8Array {
  return encodeHeaders(pairs);
}

/** The header block of a gRPC request. */
export function requestHeaders(path: string, more: readonly HeaderPair[] = []): Uint8Array {
  return encodeHeaders(grpcHeaders(path, more));
}

/** A message with the five bytes that gRPC puts before it. */
export function grpcMessage(bytes: Uint8Array, isCompressed = false): Uint8Array {
  return encodeMessage(bytes, { compressed: isCompressed ? 1 : 0 });
}
