import type { Clock } from "../scheduler/clock.ts";
import { type ConnectionCaps, ConnectionLimits } from "./connection_limits.ts";
import { encodeAnswer, type HttpAnswer } from "./http_answer.ts";
import {
  type HttpRejection,
  parseRequestHead,
  type RequestHead,
  type RequestRules,
} from "./request_reader.ts";

/** One request that has arrived completely. */
export interface HttpRequest extends Pick<RequestHead, "method" | "target" | "fields"> {
  readonly body: Uint8Array;
  readonly address: string;
}

/** A `Deno.Listener` of TCP, or a `Deno.TlsListener`. */
export interface ConnectionListener {
  accept(): Promise<Deno.TcpConn | Deno.TlsConn>;
  close(): void;
}

export interface RequestLoopOptions {
  readonly listener: ConnectionListener;
  readonly clock: Clock;
  readonly rules: RequestRules;
  readonly caps: ConnectionCaps;
  /** From accept to close: the TLS handshake, the request, the answer. */
  readonly deadlineMs: number;
  /** Rejects or throws only for faults of ours; the signal is aborted when the connection ends. */
  readonly answer: (request: HttpRequest, signal: AbortSignal) => HttpAnswer | Promise<HttpAnswer>;
  /** Answers a request that is malformed or too large. */
  readonly reject: (rejection: HttpRejection) => HttpAnswer;
  /** Answers by its status a request before its body is read; undefined lets it go on. */
  readonly checkHead?: (head: RequestHead) => HttpAnswer | undefined;
  /** Receives what `answer` throws; the client receives a status 500 without the reason. */
  readonly onError?: (error: unknown) => void;
}

/** Accepting fails at once and again while there are no file descriptors (EMFILE). */
const acceptPauseMs = 100;
/** An honest request arrives in a few pieces; each piece costs a turn of the event loop. */
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
    const { listener } = this.#options;
    while (!this.#stopping.signal.aborted) {
      try {
        const serving = this.#serve(await listener.accept());
        this.#serving.add(serving);
        serving.finally(() => this.#serving.delete(serving));
      } catch {
        if (!this.#stopping.signal.aborted) await this.#pause();
      }
    }
    await Promise.all(this.#serving);
  }

  #pause(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { signal } = this.#stopping;
    const timer = this.#options.clock.after(acceptPauseMs, resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
    return promise.finally(() => timer[Symbol.dispose]());
  }

  /** Serves a connection and closes it; never rejects. */
  async #serve(connection: Deno.TcpConn | Deno.TlsConn): Promise<void> {
    const ending = new AbortController();
    const end = () => {
      if (ending.signal.aborted) return;
      ending.abort();
      try {
        connection.close();
      } catch {
        // It is closed already.
      }
    };
    const address = connection.remoteAddr.hostname;
    using _admitted = this.#limits.admit(address, end);
    using _deadline = this.#options.clock.after(this.#options.deadlineMs, end);
    const { signal } = this.#stopping;
    signal.addEventListener("abort", end, { once: true });
    try {
      await this.#converse(connection, address, ending.signal);
    } catch {
      // The client is gone, or its time is over: there is no other peer to answer.
    } finally {
      signal.removeEventListener("abort", end);
      end();
    }
  }

  async #converse(
    connection: Deno.TcpConn | Deno.TlsConn,
    address: string,
    signal: AbortSignal,
  ): Promise<void> {
    const received = await this.#receive(connection, address);
    if (received === undefined) return;
    const isRequest = "request" in received;
    const answer = isRequest ? await this.#answer(received.request, signal) : received.answer;
    if (signal.aborted) return;
    const method = isRequest ? received.request.method : undefined;
    await writeAll(connection, encodeAnswer(answer, method));
    await connection.closeWrite();
    await discard(connection);
  }

  /** The request, or the answer to what is none; undefined when the client ended first. */
  async #receive(
    connection: Deno.TcpConn | Deno.TlsConn,
    address: string,
  ): Promise<{ request: HttpRequest } | { answer: HttpAnswer } | undefined> {
    const { rules, reject, checkHead } = this.#options;
    const buffer = new Uint8Array(rules.maxBytes);
    let checked = false;
    for (let length = 0, reads = 0; reads < mostReads; reads++) {
      const count = await connection.read(buffer.subarray(length));
      if (count === null) return undefined;
      length += count;
      const parsed = parseRequestHead(buffer.subarray(0, length), rules);
      if (parsed.kind === "rejected") return { answer: reject(parsed) };
      if (parsed.kind === "incomplete") continue;
      const { head } = parsed;
      const early = checked ? undefined : checkHead?.(head);
      if (early !== undefined) return { answer: early };
      checked = true;
      if (length < head.bodyEnd) continue;
      // A second request is not answered: the connection ends after the first.
      const body = buffer.slice(head.bodyStart, head.bodyEnd);
      const { method, target, fields } = head;
      return { request: { method, target, fields, body, address } };
    }
    const reason = `the request is malformed: it arrives in more than ${mostReads} pieces`;
    return { answer: reject({ kind: "rejected", status: 400, reason }) };
  }

  async #answer(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    try {
      return await this.#options.answer(request, signal);
    } catch (error) {
      if (!signal.aborted) this.#options.onError?.(error);
      return { status: 500, contentType: "text/plain; charset=utf-8", body: "internal error\n" };
    }
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  let rest = bytes;
  while (rest.length > 0) rest = rest.subarray(await connection.write(rest));
}

/** Reads until the client has closed; data that stays unread would destroy the answer on its way. */
async function discard(connection: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(4096);
  let discarded = 0;
  while (discarded < mostDiscarded) {
    const count = await connection.read(buffer);
    if (count === null) return;
    discarded += count;
  }
}
