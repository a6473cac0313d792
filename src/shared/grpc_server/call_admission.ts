import { type Server, type ServerInterceptor, status } from "@grpc/grpc-js";
import { getLogger } from "@logtape/logtape";
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { IncomingHttpHeaders } from "node:http2";
import { constants } from "node:http2";
import type { Clock } from "../scheduler/clock.ts";
import { CoalescingTimer } from "../scheduler/coalescing_timer.ts";
import type { AcceptedPeer } from "./peer_gate.ts";
import { errorMessage } from "../text/error_message.ts";

const logger = getLogger(["grpc", "call"]);

/** HTTP/2 itself resets a call with more. The limit of bytes applies when a client has acknowledged it. */
const mostHeaderPairs = 32;
const mostHeaderBytes = 16 * 1024;
/** From a call's headers to the end of its one message, and at most half as long again. */
const longestBodyMs = 10_000;
/** Calls are sorted by their age at this interval, so that none of them needs a timer or the clock. */
const sortMs = longestBodyMs / 2;

/** Private members of grpc-js 1.14: its HTTP/2 servers, and the options that it creates them with. */
interface Internals {
  readonly http2Servers: ReadonlyMap<Http2Server, unknown>;
  readonly commonServerOptions: { maxHeaderListPairs?: number; settings: object };
}

type StreamListener = (
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  flags: number,
  rawHeaders: string[],
) => void;

export interface CallAdmissionOptions {
  readonly clock: Clock;
  /** Paths of the methods whose requests are a stream, which may last. */
  readonly streamingPaths: ReadonlySet<string>;
}

/** Checks each call before grpc-js receives it, and answers those that grpc-js must not receive. */
export class CallAdmission implements Disposable {
  readonly #streamingPaths: ReadonlySet<string>;
  readonly #peers = new WeakMap<ServerHttp2Session, AcceptedPeer>();
  /** Calls whose request has not ended, by the interval in which they began; the first is this one. */
  #unfinished: Set<ServerHttp2Stream>[] = [new Set(), new Set(), new Set()];
  readonly #sorting: CoalescingTimer;
  /** The client of the call or connection that grpc-js is receiving in this very moment. */
  #entering: AcceptedPeer | undefined;

  constructor({ clock, streamingPaths }: CallAdmissionOptions) {
    this.#sorting = new CoalescingTimer(clock, sortMs, () => this.#endLate());
    this.#streamingPaths = streamingPaths;
  }

  /**
   * Gives each call the certificate that the gate has verified. grpc-js would read it from the TLS
   * connection, which HTTP/2 does not have here, and which may have closed.
   */
  readonly interceptor: ServerInterceptor = (_method, call) => {
    const peer = this.#entering;
    if (peer !== undefined) {
      const context = {
        transportSecurityType: "ssl",
        sslPeerCertificate: { raw: peer.leaf },
      } as unknown as ReturnType<typeof call.getAuthContext>;
      call.getAuthContext = () => context;
    }
    return call as ReturnType<ServerInterceptor>;
  };

  /** Limits the header lists of servers that are made from now on. */
  limitHeaders(server: Server): void {
    const { commonServerOptions } = server as unknown as Internals;
    commonServerOptions.maxHeaderListPairs = mostHeaderPairs;
    Object.assign(commonServerOptions.settings, { maxHeaderListSize: mostHeaderBytes });
  }

  /** Receives the calls of the HTTP/2 servers that grpc-js has, in its place. */
  guard(server: Server): void {
    for (const http2Server of (server as unknown as Internals).http2Servers.keys()) {
      const [next, ...others] = http2Server.listeners("stream") as StreamListener[];
      if (next === undefined || others.length > 0) {
        throw new Error("this version of grpc-js answers calls in another way");
      }
      http2Server.removeListener("stream", next);
      http2Server.on("stream", (...call: Parameters<StreamListener>) => this.#admit(next, ...call));
      http2Server.prependListener("session", (session: ServerHttp2Session) => {
        if (this.#entering !== undefined) this.#peers.set(session, this.#entering);
      });
    }
  }

  /** Runs a function in which grpc-js receives a connection or a call of this peer. */
  enter(peer: AcceptedPeer | undefined, inject: () => void): void {
    this.#entering = peer;
    try {
      inject();
    } finally {
      this.#entering = undefined;
    }
  }

  #admit(next: StreamListener, ...call: Parameters<StreamListener>): void {
    const [stream, headers] = call;
    // grpc-js handles the first error only, and an error without a listener ends the process.
    stream.on("error", () => {});
    const peer = stream.session && this.#peers.get(stream.session as ServerHttp2Session);
    const state = peer?.state();
    if (state instanceof Promise) {
      void state.then(() => this.#admit(next, ...call));
      return;
    }
    if (stream.destroyed || stream.closed) return;
    if (state?.kind === "closed") return refuse(stream, status.UNAUTHENTICATED, state.reason);
    const encoding = headers["grpc-encoding"];
    if (encoding !== undefined && encoding !== "identity") {
      const reason = "compressed requests are not accepted; send them with grpc-encoding identity";
      return refuse(stream, status.UNIMPLEMENTED, reason, { "grpc-accept-encoding": "identity" });
    }
    if (!this.#streamingPaths.has(headers[":path"] ?? "")) this.#awaitBody(stream);
    try {
      this.enter(peer, () => next(...call));
    } catch (error) {
      // The stream has ended, or grpc-js cannot repeat the bytes of the path in its answer.
      const reason = errorMessage(error);
      logger.debug("grpc-js cannot answer a call, whose stream is closed: {reason}", { reason });
      stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    }
  }

  #awaitBody(stream: ServerHttp2Stream): void {
    const [beginning] = this.#unfinished;
    beginning!.add(stream);
    stream.once("end", () => {
      for (const streams of this.#unfinished) streams.delete(stream);
    });
    this.#sorting.schedule();
  }

  #endLate(): void {
    const late = this.#unfinished.pop()!;
    this.#unfinished = [new Set(), ...this.#unfinished];
    const isEmpty = this.#unfinished.every(({ size }) => size === 0);
    if (!isEmpty) this.#sorting.schedule();
    const reason = `the request has not ended within ${longestBodyMs / 1_000} s`;
    for (const stream of late) {
      if (!stream.destroyed && !stream.closed) refuse(stream, status.DEADLINE_EXCEEDED, reason);
    }
  }

  [Symbol.dispose](): void {
    this.#sorting[Symbol.dispose]();
  }
}

/** Answers a call in place of grpc-js, and stops its client from sending more of it. */
function refuse(
  stream: ServerHttp2Stream,
  code: status,
  reason: string,
  headers: Record<string, string> = {},
): void {
  try {
    stream.respond({
      ":status": 200,
      "content-type": "application/grpc+proto",
      "grpc-status": String(code),
      "grpc-message": encodeURI(reason.toWellFormed()),
      ...headers,
    }, { endStream: true });
    stream.close(constants.NGHTTP2_NO_ERROR);
  } catch (error) {
    const text = errorMessage(error);
    logger.debug("the refusal of a call was not sent: {reason}", { reason: text });
  }
}
