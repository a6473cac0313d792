/**
 * A raw HTTP/2 client: it speaks just enough of the protocol to make calls, and writes any bytes on
 * request. It never uses the runtime's own HTTP/2, which has a known memory fault (denoland/deno
 * 36788): an attack must not end the program that measures it.
 */
import {
  concat,
  data,
  errorCode,
  type Frame,
  frameFlag,
  FrameReader,
  frameType,
  headers,
  ping,
  preface,
  readUint32,
  setting,
  settings,
  settingsAck,
  windowUpdate,
} from "./frames.ts";
import { decodeHeaders, encodeHeaders, type HeaderPair } from "./hpack.ts";
import { type OpenSocket, openSocket, type SocketOptions } from "./socket.ts";

export interface ConnectionOptions extends SocketOptions {
  /** Added to a header table of 0 bytes, without which answers could not be read. */
  readonly settings?: readonly (readonly [number, number])[] | undefined;
  /** Whether SETTINGS, PING and received DATA are answered; true unless given. */
  readonly polite?: boolean | undefined;
}

/** The answer on one stream. */
export interface Answer {
  /** "200", or undefined when the stream ended without one. */
  readonly httpStatus: string | undefined;
  readonly grpcStatus: string | undefined;
  readonly grpcMessage: string | undefined;
  readonly body: Uint8Array;
  /** Why there is no whole answer: "reset 7", "goaway 11", "closed", "timeout". */
  readonly failure: string | undefined;
}

interface OpenStream {
  readonly fields: Map<string, string>;
  readonly body: Uint8Array[];
  readonly settle: (failure: string | undefined) => void;
}

/** How much one write may wait for a peer that does not read. */
const longestWriteMs = 2_000;

export class RawConnection implements Disposable {
  readonly socket: OpenSocket;
  readonly closed: Promise<void>;
  /** Frames of the peer by type, for an attack that wants to see its effect. */
  readonly received = new Map<number, number>();
  readonly #polite: boolean;
  readonly #reader = new FrameReader();
  readonly #streams = new Map<number, OpenStream>();
  readonly #ready = Promise.withResolvers<void>();
  #block: Uint8Array = new Uint8Array();
  #nextStream = 1;
  #isClosed = false;
  #goaway: string | undefined;

  private constructor(socket: OpenSocket, polite: boolean) {
    this.socket = socket;
    this.#polite = polite;
    this.#ready.promise.catch(() => {});
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    const onClosed = () => {
      this.#closedNow();
      resolve();
    };
    for (const part of new Set([socket.stream, socket.raw])) {
      part.on("error", () => {});
      part.once("close", onClosed);
      part.once("end", onClosed);
    }
    socket.stream.on("data", (bytes: Uint8Array) => this.#take(bytes));
  }

  /** Connects and writes the preface with SETTINGS. */
  static async open(options: ConnectionOptions): Promise<RawConnection> {
    const socket = await openSocket(options);
    const connection = new RawConnection(socket, options.polite ?? true);
    const values = [[setting.headerTableSize, 0] as const, ...options.settings ?? []];
    await connection.send(preface, settings(values));
    return connection;
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  /** The reason for closing that the peer sent, with the code of its GOAWAY. */
  get goawayReason(): string | undefined {
    return this.#goaway;
  }

  /** Resolves with the peer's SETTINGS; rejects when the connection closes without. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Whether the peer sent its SETTINGS before it closed the connection. */
  async becomesReady(): Promise<boolean> {
    return await this.ready.then(() => true, () => false);
  }

  nextStream(): number {
    const stream = this.#nextStream;
    this.#nextStream += 2;
    return stream;
  }

  /** Writes the bytes; resolves with whether the connection is still open when they are sent. */
  async send(...parts: readonly Uint8Array[]): Promise<boolean> {
    if (this.#isClosed) return false;
    const { stream } = this.socket;
    if (stream.write(concat(...parts))) return true;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, longestWriteMs);
    stream.once("drain", resolve);
    await Promise.race([promise, this.closed]);
    stream.off("drain", resolve);
    clearTimeout(timer);
    return !this.#isClosed;
  }

  /** Sends one request with its whole body; resolves with the answer. Never rejects. */
  async request(
    pairs: readonly HeaderPair[],
    body: Uint8Array | undefined,
    timeoutMs = 5_000,
  ): Promise<Answer> {
    const stream = this.nextStream();
    const answer = this.answerOf(stream, timeoutMs);
    const block = encodeHeaders(pairs);
    const parts = body === undefined
      ? [headers(stream, block, { endStream: true })]
      : [headers(stream, block), ...dataFrames(stream, body)];
    await this.send(...parts);
    return await answer;
  }

  /** The answer on a stream that the caller writes. */
  async answerOf(stream: number, timeoutMs = 5_000): Promise<Answer> {
    const { promise, resolve } = Promise.withResolvers<string | undefined>();
    const open: OpenStream = { fields: new Map(), body: [], settle: resolve };
    this.#streams.set(stream, open);
    if (this.#isClosed) resolve("closed");
    const timer = setTimeout(() => resolve("timeout"), timeoutMs);
    const failure = await promise;
    clearTimeout(timer);
    this.#streams.delete(stream);
    return {
      httpStatus: open.fields.get(":status"),
      grpcStatus: open.fields.get("grpc-status"),
      grpcMessage: open.fields.get("grpc-message"),
      body: concat(...open.body),
      failure,
    };
  }

  #take(bytes: Uint8Array): void {
    for (const frame of this.#reader.push(bytes)) {
      this.received.set(frame.type, (this.received.get(frame.type) ?? 0) + 1);
      this.#takeFrame(frame);
    }
  }

  #takeFrame(frame: Frame): void {
    const { type, flags, stream, payload } = frame;
    if (type === frameType.settings && (flags & frameFlag.ack) === 0) {
      this.#ready.resolve();
      this.#answer(settingsAck());
    } else if (type === frameType.ping && (flags & frameFlag.ack) === 0) {
      this.#answer(ping(frameFlag.ack));
    } else if (type === frameType.goaway) {
      this.#goaway = `goaway ${readUint32(payload, 4)}`;
      if (readUint32(payload, 4) !== errorCode.noError) this.#settleAll(this.#goaway);
    } else if (type === frameType.resetStream) {
      this.#streams.get(stream)?.settle(`reset ${readUint32(payload)}`);
    } else if (type === frameType.data) {
      this.#streams.get(stream)?.body.push(payload);
      if (payload.length > 0) this.#answer(windowUpdate(0, payload.length));
      if ((flags & frameFlag.endStream) !== 0) this.#streams.get(stream)?.settle(undefined);
    } else if (type === frameType.headers || type === frameType.continuation) {
      this.#takeHeaders(frame);
    }
  }

  #takeHeaders({ flags, stream, payload }: Frame): void {
    this.#block = concat(this.#block, payload);
    if ((flags & frameFlag.endHeaders) === 0) return;
    const fields = decodeHeaders(this.#block);
    this.#block = new Uint8Array();
    const open = this.#streams.get(stream);
    for (const [name, value] of fields ?? []) open?.fields.set(name, value);
    if ((flags & frameFlag.endStream) !== 0) {
      open?.settle(fields === undefined ? "unreadable headers" : undefined);
    }
  }

  #answer(bytes: Uint8Array): void {
    if (this.#polite && !this.#isClosed) this.socket.stream.write(bytes);
  }

  #closedNow(): void {
    this.#isClosed = true;
    this.#ready.reject(new Error("closed before the peer's SETTINGS"));
    this.#settleAll("closed");
  }

  #settleAll(failure: string): void {
    for (const { settle } of this.#streams.values()) settle(failure);
  }

  [Symbol.dispose](): void {
    this.socket.stream.destroy();
    this.socket.raw.destroy();
  }
}

/** A body in frames of the size that every peer accepts. */
export function dataFrames(stream: number, body: Uint8Array, frameBytes = 16_384): Uint8Array[] {
  const frames: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < body.length; at += frameBytes) {
    const isLast = at + frameBytes >= body.length;
    frames.push(data(stream, body.subarray(at, at + frameBytes), isLast));
  }
  return frames;
}
