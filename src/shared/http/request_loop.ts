import { onAbort } from "../scheduler/abort_signals.ts";
import type { Clock } from "../scheduler/clock.ts";
import { acceptConnections } from "./accept_loop.ts";
import { type ConnectionCaps, ConnectionLimits } from "./connection_limits.ts";
import { encodeAnswer, type HttpAnswer } from "./http_answer.ts";
import { type HttpRejection, parseRequestHead, type RequestHead } from "./request_reader.ts";
import { writeAll } from "./write_all.ts";

/** A `Deno.Listener` of TCP. Not one of TLS: closing a connection does not end its handshake. */
export interface ConnectionListener {
  accept(): Promise<Deno.TcpConn>;
  close(): void;
}

export interface RequestLoopOptions {
  readonly listener: ConnectionListener;
  readonly clock: Clock;
  /** Of a request, which has no body. */
  readonly maxBytes: number;
  readonly caps: ConnectionCaps;
  /** From accept to close: the request, the answer, and the client's own end. */
  readonly deadlineMs: number;
  /** Never throws. */
  readonly answer: (request: RequestHead) => HttpAnswer;
  /** Answers a request that is malformed or too large. */
  readonly reject: (rejection: HttpRejection) => HttpAnswer;
}

/** An honest request arrives in a few pieces; each piece costs an iteration of the event loop. */
const mostReads = 64;
/** Discarded after an early answer, so that the kernel does not reset the connection before it is read. */
const mostDiscarded = 64 * 1024;

/**
 * Serves one request per connection until disposed. Disposal closes the listener and every
 * connection, without waiting for clients, and resolves when the loop has ended.
 */
export function serveRequests(
  options: RequestLoopOptions,
): AsyncDisposable & { readonly connections: number } {
  const loop = new RequestLoop(options);
  const ended = loop.run();
  return {
    get connections() {
      return loop.connections;
    },
    [Symbol.asyncDispose]: async () => {
      loop.stop();
      await ended;
    },
  };
}

class RequestLoop {
  readonly #options: RequestLoopOptions;
  readonly #limits: ConnectionLimits;
  readonly #stopping = new AbortController();
  readonly #serving = new Set<Promise<void>>();

  constructor(options: RequestLoopOptions) {
    this.#options = options;
    this.#limits = new ConnectionLimits(options.caps);
  }

  get connections(): number {
    return this.#limits.size;
  }

  stop(): void {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    this.#options.listener.close();
  }

  async run(): Promise<void> {
    const { listener, clock } = this.#options;
    const onConnection = (connection: Deno.TcpConn) => {
      const serving = this.#serve(connection).finally(() => this.#serving.delete(serving));
      this.#serving.add(serving);
    };
    await acceptConnections(listener, { clock, onConnection }, this.#stopping.signal);
    await Promise.all(this.#serving);
  }

  /** Serves a connection and closes it; never rejects. */
  async #serve(connection: Deno.TcpConn): Promise<void> {
    const end = () => {
      try {
        connection.close();
      } catch {
        // It is closed already.
      }
    };
    using _admitted = this.#limits.admit(connection.remoteAddr.hostname, end);
    using _deadline = this.#options.clock.after(this.#options.deadlineMs, end);
    using _stopping = onAbort(this.#stopping.signal, end);
    try {
      const exchange = await this.#receive(connection);
      if (exchange === undefined) return;
      await writeAll(connection, encodeAnswer(exchange.answer, exchange.method));
      await connection.closeWrite();
      await discard(connection);
    } catch {
      // The client has closed, or the deadline has passed: there is nothing to answer.
    } finally {
      end();
    }
  }

  /** Reads a request and makes its answer; undefined when the client ended first. */
  async #receive(
    connection: Deno.TcpConn,
  ): Promise<{ answer: HttpAnswer; method?: string } | undefined> {
    const { maxBytes, answer, reject } = this.#options;
    const buffer = new Uint8Array(maxBytes);
    for (let length = 0, reads = 0; reads < mostReads; reads++) {
      const count = await connection.read(buffer.subarray(length));
      if (count === null) return undefined;
      length += count;
      const parsed = parseRequestHead(buffer.subarray(0, length), { maxBytes, body: "none" });
      if (parsed.kind === "rejected") return { answer: reject(parsed) };
      // A second request behind the first is not answered: the connection ends.
      if (parsed.kind === "head") {
        return { answer: answer(parsed.head), method: parsed.head.method };
      }
    }
    const reason = `the request is malformed: it arrives in more than ${mostReads} pieces`;
    return { answer: reject({ kind: "rejected", status: 400, reason }) };
  }
}

/** Reads until the client has closed: the kernel would reset the connection for unread data, and lose the answer. */
async function discard(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  let discarded = 0;
  while (discarded < mostDiscarded) {
    const count = await connection.read(buffer);
    if (count === null) return;
    discarded += count;
  }
}
