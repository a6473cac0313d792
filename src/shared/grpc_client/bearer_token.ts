import { CallCredentials, Metadata, status } from "@grpc/grpc-js";
import { RpcError } from "../grpc/rpc_error.ts";

/** RFC 9110, section 11.6.2: what a header can carry as a token, and in no case a line break. */
const tokenPattern = /^[\x21-\x7e]+$/;

/** Call credentials that ask for the token anew before each call. No error of theirs holds it. */
export function bearerTokenCredentials(read: () => Promise<string | undefined>): CallCredentials {
  return CallCredentials.createFromMetadataGenerator((_, callback) => {
    metadataWith(read).then((metadata) => callback(null, metadata), callback);
  });
}

async function metadataWith(read: () => Promise<string | undefined>): Promise<Metadata> {
  const metadata = new Metadata();
  const token = await read().catch((cause) => {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new RpcError(status.UNAVAILABLE, `the token cannot be read: ${reason}`, { cause });
  });
  if (token === undefined) return metadata;
  if (!tokenPattern.test(token)) {
    // grpc-js would say so too, and quote it.
    throw new RpcError(
      status.UNAUTHENTICATED,
      "the token is empty or holds blanks or line breaks: give the bare token",
    );
  }
  metadata.set("authorization", `Bearer ${token}`);
  return metadata;
}
