import { connect } from "node:http2";
import { Buffer } from "node:buffer";
import { serverName } from "../../src/shared/text/product_names.ts";

/** Sends messages that were encoded before to one gRPC method: a client that costs less than a real one. */
export class GrpcLoad implements Disposable {
  readonly #sessions: ReturnType<typeof connect>[];
  readonly #path: string;
  readonly #frames: Buffer[];

  constructor(
    options: {
      url: string;
      path: string;
      messages: readonly Uint8Array[];
      connections: number;
      ca?: string;
    },
  ) {
    this.#path = options.path;
    this.#frames = options.messages.map(frame);
    const tls = options.ca === undefined ? {} : { ca: options.ca, servername: serverName };
    this.#sessions = Array.from(
      { length: options.connections },
      () => connect(options.url, tls as never),
    );
    // A call that is cut off rejects: the connection's own error adds nothing.
    for (const session of this.#sessions) session.on("error", () => {});
  }

  /** One call with one of the messages; resolves with the answer's bytes, rejects when its status is not OK. */
  call(n: number): Promise<Buffer> {
    const session = this.#sessions[n % this.#sessions.length]!;
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const stream = session.request({
      ":method": "POST",
      ":path": this.#path,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const chunks: Buffer[] = [];
    let status: string | undefined;
    let message: unknown;
    const take = (headers: Record<string, unknown>) => {
      status ??= headers["grpc-status"] as string | undefined;
      message ??= headers["grpc-message"];
    };
    stream.on("response", take);
    stream.on("trailers", take);
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("end", () => {
      if (status === "0") resolve(Buffer.concat(chunks).subarray(5));
      else reject(new Error(`the service answered ${status}: ${message}`));
    });
    stream.end(this.#frames[n % this.#frames.length]);
    return promise;
  }

  [Symbol.dispose](): void {
    for (const session of this.#sessions) session.destroy();
  }
}

function frame(message: Uint8Array): Buffer {
  const bytes = Buffer.alloc(5 + message.length);
  bytes.writeUInt32BE(message.length, 1);
  bytes.set(message, 5);
  return bytes;
}
