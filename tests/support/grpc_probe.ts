import { ChannelCredentials, Client, Metadata, type ServiceError } from "@grpc/grpc-js";

/** Sends any bytes as a unary request; resolves with the error of the answer. */
export async function sendBytes(
  target: string,
  method: string,
  bytes: Uint8Array,
): Promise<ServiceError | null> {
  const client = new Client(target, ChannelCredentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  try {
    return await new Promise((resolve) => {
      const asBytes = (bytes: Buffer) => bytes;
      const request = Buffer.from(bytes);
      client.makeUnaryRequest(method, asBytes, asBytes, request, new Metadata(), {}, resolve);
    });
  } finally {
    client.close();
  }
}
