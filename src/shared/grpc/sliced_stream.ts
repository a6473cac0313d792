import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { FrameLimits } from "./frame_limits.ts";

/** What a connection hands on before the next connection does. */
const sliceBytes = 16 * 1024;
/** What all connections hand on in one turn of the event loop: some 150 requests, 10 to 20 ms of work. */
const bytesPerTurn = 64 * 1024;
/** What a frame costs in addition to its bytes: a callback. */
const bytesPerFrame = 64;
/** While a peer has not received more than this of its answers, its requests are not read. */
const mostUnsentBytes = 256 * 1024;
/** A peer that no longer reads does not delay the end. */
const longestEndMs = 1_000;

/** Shares the turns of the event loop among the connections of a server or a client, a slice for each in turn. */
export class ReadTurns {
  readonly #waiting = new Set<SlicedStream>();
  #bytesLeft = bytesPerTurn;
  #isTurn = false;
  #isReading = false;

  /** Schedules a connection that has data: now, if this turn's bytes are not used up. */
  add(stream: SlicedStream): void {
    this.#waiting.add(stream);
    this.#read();
  }

  delete(stream: SlicedStream): void {
    this.#waiting.delete(stream);
  }

  #read(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    if (!this.#isTurn && this.#waiting.size > 0) {
      this.#isTurn = true;
      setImmediate(() => this.#begin());
    }
    try {
      for (const stream of this.#waiting) {
        if (this.#bytesLeft <= 0) break;
        this.#waiting.delete(stream);
        this.#bytesLeft -= stream.handOn();
        // It is now the last one of the set, so that the loop reaches it after the others.
        if (stream.isReady) this.#waiting.add(stream);
      }
    } finally {
      // Also when a reader of one connection throws: the others are still read.
      this.#isReading = false;
    }
  }

  #begin(): void {
    this.#isTurn = false;
    this.#bytesLeft = Math.min(bytesPerTurn, this.#bytesLeft + bytesPerTurn);
    this.#read();
  }
}

/** Stops and starts the reads of the kernel's socket. */
interface NativeHandle {
  readStop(): void;
  readStart(): void;
}

/**
 * Stops or starts the reads of a TCP connection. Deno 2.9 continues to read a TLS connection that is
 * paused; stopping the handle of the TCP connection under it works for both. What the peer sends
 * meanwhile fills the kernel's buffers, and then the peer has to wait.
 */
export function holdReads(raw: Socket, isHeld: boolean): void {
  const { _handle: handle } = raw as unknown as { _handle: NativeHandle | null };
  if (isHeld) handle?.readStop();
  else handle?.readStart();
}

export interface SlicedStreamOptions {
  /** The TCP connection. */
  readonly raw: Socket;
  /** What is read and written: the TLS connection over it, or the TCP connection itself. */
  readonly source: Socket;
  readonly turns: ReadTurns;
  readonly limits: FrameLimits;
  /** Called with the reason before the connection is destroyed for what it sends. */
  readonly onFlood: (reason: string) => void;
}

/**
 * Hands the bytes of a connection to HTTP/2 in slices, a bounded amount in each turn of the event loop.
 * Reads are stopped while it has bytes to hand on: of a TLS connection Deno 2.9 otherwise reads tens
 * of megabytes ahead, and delivers them in one event.
 */
export class SlicedStream extends Duplex {
  readonly #raw: Socket;
  readonly #source: Socket;
  readonly #turns: ReadTurns;
  readonly #limits: FrameLimits;
  readonly #onFlood: (reason: string) => void;
  readonly #queue: Buffer[] = [];
  #wantsMore = true;
  #isHeld = false;

  constructor({ raw, source, turns, limits, onFlood }: SlicedStreamOptions) {
    super({ allowHalfOpen: false, highWaterMark: sliceBytes });
    this.#raw = raw;
    this.#source = source;
    this.#turns = turns;
    this.#limits = limits;
    this.#onFlood = onFlood;
    // HTTP/2 removes its listener before the last event, and an error without a listener ends the process.
    for (const stream of [this, source]) stream.on("error", () => this.destroy());
    this.on("drain", () => this.#handOnLater());
    source.on("data", (chunk: Buffer) => this.#take(chunk));
    source.once("close", () => this.destroy());
  }

  /** Whether there is something that may be handed on. */
  get isReady(): boolean {
    return this.#queue.length > 0 && this.#wantsMore && !this.destroyed &&
      this.writableLength <= mostUnsentBytes;
  }

  /** Hands on one slice, and returns what that costs of a turn. */
  handOn(): number {
    if (!this.isReady) return 0;
    const slice = this.#nextSlice();
    const before = this.#limits.frames;
    const flood = this.#limits.observe(slice);
    if (flood !== undefined) {
      this.#onFlood(flood);
      this.destroy();
      return 0;
    }
    this.#wantsMore = this.push(slice);
    return slice.length + bytesPerFrame * (this.#limits.frames - before);
  }

  #nextSlice(): Buffer {
    const [first = Buffer.alloc(0)] = this.#queue;
    if (first.length > sliceBytes) {
      this.#queue[0] = first.subarray(sliceBytes);
      return first.subarray(0, sliceBytes);
    }
    this.#queue.shift();
    if (this.#queue.length === 0) this.#hold(false);
    return first;
  }

  #take(chunk: Buffer): void {
    this.#queue.push(chunk);
    this.#handOnLater();
    if (this.#queue.length > 0) this.#hold(true);
  }

  #handOnLater(): void {
    if (this.isReady) this.#turns.add(this);
  }

  #hold(isHeld: boolean): void {
    if (this.#isHeld === isHeld) return;
    this.#isHeld = isHeld;
    holdReads(this.#raw, isHeld);
  }

  /** Lets the connection keep the program alive; HTTP/2 calls it as it would of a socket. */
  ref(): this {
    this.#source.ref();
    return this;
  }

  unref(): this {
    this.#source.unref();
    return this;
  }

  override _read(): void {
    this.#wantsMore = true;
    this.#handOnLater();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#source.write(chunk)) done();
    else this.#source.once("drain", done);
  }

  override _final(done: () => void): void {
    const timer = setTimeout(() => this.destroy(), longestEndMs);
    this.once("close", () => clearTimeout(timer));
    this.#source.end(() => done());
  }

  override _destroy(_error: Error | null, done: (error: Error | null) => void): void {
    this.#queue.length = 0;
    this.#turns.delete(this);
    this.#source.destroy();
    this.#raw.destroy();
    done(null);
  }
}
