import { ChannelCredentials } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";
import type { Socket } from "node:net";
import { FrameLimits } from "../grpc/frame_limits.ts";
import { ReadScheduler, SlicedStream } from "../grpc/sliced_stream.ts";
import type { Clock } from "../scheduler/clock.ts";
import { TokenBucket } from "../scheduler/token_bucket.ts";

const logger = getLogger(["grpc", "client"]);

/** A server that floods each connection would otherwise fill the log. */
const logLines = { perSecond: 1 / 60, burst: 1 };

type CreateConnector = ChannelCredentials["_createSecureConnector"];
type SecureConnector = ReturnType<CreateConnector>;

/**
 * Bounds what a server sends on the connections of one channel. Without a bound a server that sends
 * 1xx responses without end occupies the event loop, because Deno 2.9 delivers them in one iteration.
 */
export class ServerBounds {
  readonly #address: string;
  readonly #clock: Clock;
  readonly #readScheduler = new ReadScheduler();
  readonly #logLines: TokenBucket;

  /** The address is for the log. */
  constructor(address: string, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
    this.#logLines = new TokenBucket(logLines, clock);
  }

  /** What HTTP/2 reads and writes instead of the source, which is the TCP connection or TLS over it. */
  bound(raw: Socket, source: Socket): SlicedStream {
    return new SlicedStream({
      raw,
      source,
      scheduler: this.#readScheduler,
      limits: new FrameLimits(this.#clock, "server"),
      onFlood: (reason) => this.#warn(reason),
    });
  }

  #warn(reason: string): void {
    if (!this.#logLines.take()) return;
    const text = "closed the connection to {address}: the server sent too many {reason}; " +
      "verify that the certificate service answers there";
    logger.warn(text, { address: this.#address, reason });
  }
}

/** Channel credentials that bound what the server sends over the connections made with them. */
export class BoundedCredentials extends ChannelCredentials {
  readonly #inner: ChannelCredentials;
  readonly #bounds: ServerBounds;

  constructor(inner: ChannelCredentials, bounds: ServerBounds) {
    super();
    this.#inner = inner;
    this.#bounds = bounds;
  }

  override _isSecure(): boolean {
    return this.#inner._isSecure();
  }

  override _equals(other: ChannelCredentials): boolean {
    return other instanceof BoundedCredentials && this.#bounds === other.#bounds &&
      this.#inner._equals(other.#inner);
  }

  override _createSecureConnector(...args: Parameters<CreateConnector>): SecureConnector {
    const connector = this.#inner._createSecureConnector(...args);
    return {
      connect: async (raw) => {
        const { socket, secure } = await connector.connect(raw);
        // grpc-js and HTTP/2 use of a socket only what every stream has, and ref and unref.
        return { socket: this.#bounds.bound(raw, socket) as unknown as Socket, secure };
      },
      waitForReady: () => connector.waitForReady(),
      getCallCredentials: () => connector.getCallCredentials(),
      destroy: () => connector.destroy(),
    };
  }
}
