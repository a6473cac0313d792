import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { FrameLimits } from "./frame_limits.ts";
import { gatherWrites } from "./gathered_writes.ts";

/** What a connection delivers before the next connection does. */
const sliceBytes = 16 * 1024;
/** What all connections deliver in one iteration of the event loop: some 150 requests, 10 to 20 ms of work. */
const bytesPerIteration = 64 * 1024;
/** What a frame costs in addition to its bytes: a callback. */
const bytesPerFrame = 64;
/** While a peer has not received more than this of its answers, its requests are not read. */
const mostUnsentBytes = 256 * 1024;
/** A peer that no longer reads does not delay the end. */
const longestEndMs = 1_000;

/** Reads the connections of a server or a client one slice each in turn, a bounded amount in each iteration of the event loop. */
export class ReadScheduler {
  readonly #waiting = new Set<SlicedStream>();
  #bytesLeft = bytesPerIteration;
  #isScheduled = false;
  #isReading = false;

  /** Schedules a connection that has data: at once, if this iteration's bytes are not used up. */
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
    if (!this.#isScheduled && this.#waiting.size > 0) {
      this.#isScheduled = true;
      setImmediate(() => this.#begin());
    }
    try {
      for (const stream of this.#waiting) {
        if (this.#bytesLeft <= 0) break;
        this.#waiting.delete(stream);
        this.#bytesLeft -= stream.deliver();
        // It is now the last one of the set, so that the loop reaches it after the others.
        if (stream.isReady) this.#waiting.add(stream);
      }
    } finally {
      // Also when a reader of one connection throws: the others are still read.
      this.#isReading = false;
    }
  }

  #begin(): void {
    this.#isScheduled = false;
    this.#bytesLeft = Math.min(bytesPerIteration, this.#bytesLeft + bytesPerIteration);
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
  readonly scheduler: ReadScheduler;
  readonly limits: FrameLimits;
  /** Called with the reason before the connection is destroyed for what it sends. */
  readonly onFlood: (reason: string) => void;
}

/**
 * Delivers the bytes of a connection to HTTP/2 in slices, a bounded amount in each iteration of the event
 * loop, which bounds its lag to 10 to 20 ms.
 * Reads are stopped while it has bytes to deliver: of a TLS connection Deno 2.9 otherwise reads tens
 * of megabytes ahead, and delivers them in one event.
 */
export class SlicedStream extends Duplex {
  readonly #raw: Socket;
  readonly #source: Socket;
  readonly #scheduler: ReadScheduler;
  readonly #limits: FrameLimits;
  readonly #onFlood: (reason: string) => void;
  readonly #queue: Buffer[] = [];
  #wantsMore = true;
  #isHeld = false;

  constructor({ raw, source, scheduler, limits, onFlood }: SlicedStreamOptions) {
    super({ allowHalfOpen: false, highWaterMark: sliceBytes });
    this.#raw = raw;
    this.#source = source;
    this.#scheduler = scheduler;
    this.#limits = limits;
    this.#onFlood = onFlood;
    gatherWrites(this);
    // HTTP/2 removes its listener before the last event, and an error without a listener ends the process.
    for (const stream of [this, source]) stream.on("error", () => this.destroy());
    this.on("drain", () => this.#scheduleDelivery());
    source.on("data", (chunk: Buffer) => this.#take(chunk));
    source.once("close", () => this.destroy());
  }

  /** Whether there is something that may be delivered. */
  get isReady(): boolean {
    return this.#queue.length > 0 && this.#wantsMore && !this.destroyed &&
      this.writableLength <= mostUnsentBytes;
  }

  /** Delivers one slice, and returns how many bytes of the iteration it uses. */
  deliver(): number {
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
    this.#scheduleDelivery();
    if (this.#queue.length > 0) this.#hold(true);
  }

  #scheduleDelivery(): void {
    if (this.isReady) this.#scheduler.add(this);
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
    this.#scheduleDelivery();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    if (this.#source.write(chunk)) done();
    else this.#source.once("drain", done);
  }

  override _writev(chunks: { chunk: Buffer }[], done: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), "binary", done);
  }

  override _final(done: () => void): void {
    const timer = setTimeout(() => this.destroy(), longestEndMs);
    this.once("close", () => clearTimeout(timer));
    this.#source.end(() => done());
  }

  override _destroy(_error: Error | null, done: (error: Error | null) => void): void {
    this.#queue.length = 0;
    this.#scheduler.delete(this);
    this.#source.destroy();
    this.#raw.destroy();
    done(null);
  }
}
