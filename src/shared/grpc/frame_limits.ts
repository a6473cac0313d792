import type { Clock } from "../scheduler/clock.ts";
import { TokenBucket } from "../scheduler/token_bucket.ts";

/** RFC 9113, section 6. */
const type = { data: 0, headers: 1, resetStream: 3, settings: 4, windowUpdate: 8, continuation: 9 };
const flag = { ack: 1, endStream: 1 };
const headBytes = 9;

/**
 * A driver sends a PING twice a minute, and a RST_STREAM for a call that it cancels; the service
 * acknowledges the PING. Each control frame costs about as much as a small request.
 */
const controlFrames = { perSecond: 200, burst: 1_000 };
/** The headers of some 10,000 calls. A byte of them can stand for 4 KiB (RFC 7541, section 4). */
const headerBlockBytes = { perSecond: 1024 * 1024, burst: 2 * 1024 * 1024 };
/** So much is counted before the clock is read, which costs as much as the counting. */
const countedAtOnce = { controlFrames: 50, headerBlockBytes: 32 * 1024 };
/** Streams whose HEADERS are counted: many more than the 32 that our server lets a client open. */
const mostCountedStreams = 1_024;

/** Which end of the connection sends the frames that are limited. */
export type FrameSender = "client" | "server";

interface SenderRules {
  /** What precedes the first frame (RFC 9113, section 3.4). */
  readonly prefaceBytes: number;
  /** HEADERS frames before the sender has acknowledged our settings. */
  readonly earlyHeaders: number;
  /** HEADERS frames on one stream. */
  readonly streamHeaders: number;
}

const rules: Readonly<Record<FrameSender, SenderRules>> = {
  // HTTP/2 enforces our header list size only after the client has acknowledged our settings.
  client: { prefaceBytes: 24, earlyHeaders: 128, streamHeaders: Infinity },
  // An answer has headers and trailers. A gRPC server sends no 1xx; a proxy before it may send a few.
  server: { prefaceBytes: 0, earlyHeaders: Infinity, streamHeaders: 8 },
};

/**
 * Limits what one peer sends, by the headers of its HTTP/2 frames; payloads are not read. It cannot
 * detect many valid requests, DATA frames of a byte each, or a short header block that expands: the
 * limits of streams and header pairs, and the bytes read in an iteration of the event loop, bound these.
 */
export class FrameLimits {
  readonly #control: TokenBucket;
  readonly #headerBytes: TokenBucket;
  readonly #rules: SenderRules;
  /** How many HEADERS frames each stream that has not ended has received, in the order of the first. */
  readonly #streamHeaders = new Map<number, number>();
  readonly #head = new Uint8Array(headBytes);
  #headLength = 0;
  /** The remaining bytes of the preface or of a frame's payload. */
  #skip: number;
  #earlyHeaders = 0;
  #mostStreamHeaders = 0;
  #hasAcknowledged = false;
  #newControl = 0;
  #newHeaderBytes = 0;
  #frames = 0;

  constructor(clock: Clock, sender: FrameSender) {
    this.#rules = rules[sender];
    this.#skip = this.#rules.prefaceBytes;
    this.#control = new TokenBucket(controlFrames, clock);
    this.#headerBytes = new TokenBucket(headerBlockBytes, clock);
  }

  /** Frames that have begun until now. */
  get frames(): number {
    return this.#frames;
  }

  /** Counts the next bytes; returns what of them is too much, if anything is. */
  observe(bytes: Uint8Array): string | undefined {
    for (let at = 0; at < bytes.length;) {
      if (this.#skip > 0) {
        const skipped = Math.min(this.#skip, bytes.length - at);
        this.#skip -= skipped;
        at += skipped;
        continue;
      }
      if (this.#headLength === 0 && bytes.length - at >= headBytes) {
        this.#begin(bytes, at);
        at += headBytes;
        continue;
      }
      this.#head[this.#headLength++] = bytes[at++]!;
      if (this.#headLength < headBytes) continue;
      this.#headLength = 0;
      this.#begin(this.#head, 0);
    }
    if (this.#earlyHeaders > this.#rules.earlyHeaders) {
      return "requests before it acknowledged settings";
    }
    if (this.#mostStreamHeaders > this.#rules.streamHeaders) return "HEADERS frames on one stream";
    if (!this.#takeControl()) return "control frames";
    return this.#takeHeaderBytes() ? undefined : "bytes of headers";
  }

  #takeControl(): boolean {
    if (this.#newControl < countedAtOnce.controlFrames) return true;
    const count = this.#newControl;
    this.#newControl = 0;
    return this.#control.take(count);
  }

  #takeHeaderBytes(): boolean {
    if (this.#newHeaderBytes < countedAtOnce.headerBlockBytes) return true;
    const count = this.#newHeaderBytes;
    this.#newHeaderBytes = 0;
    return this.#headerBytes.take(count);
  }

  /** Counts the frame whose head is at this place (RFC 9113, section 4.1). */
  #begin(bytes: Uint8Array, at: number): void {
    const length = bytes[at]! << 16 | bytes[at + 1]! << 8 | bytes[at + 2]!;
    const frameType = bytes[at + 3]!;
    const flags = bytes[at + 4]!;
    this.#skip = length;
    this.#frames++;
    switch (frameType) {
      case type.windowUpdate:
        return;
      case type.data:
        if (length === 0 && (flags & flag.endStream) === 0) this.#newControl++;
        if ((flags & flag.endStream) !== 0) this.#streamHeaders.delete(streamOf(bytes, at));
        return;
      case type.headers:
        this.#newHeaderBytes += length;
        if (!this.#hasAcknowledged) this.#earlyHeaders++;
        if (this.#rules.streamHeaders !== Infinity) this.#countOnStream(streamOf(bytes, at), flags);
        return;
      case type.resetStream:
        this.#streamHeaders.delete(streamOf(bytes, at));
        break;
      case type.settings:
        if ((flags & flag.ack) !== 0) this.#hasAcknowledged = true;
        break;
      case type.continuation:
        this.#newHeaderBytes += length;
    }
    this.#newControl++;
  }

  #countOnStream(stream: number, flags: number): void {
    const count = (this.#streamHeaders.get(stream) ?? 0) + 1;
    this.#mostStreamHeaders = Math.max(this.#mostStreamHeaders, count);
    if ((flags & flag.endStream) !== 0) {
      this.#streamHeaders.delete(stream);
      return;
    }
    this.#streamHeaders.set(stream, count);
    if (this.#streamHeaders.size <= mostCountedStreams) return;
    // Of a call that was cancelled no end is received.
    const [oldest] = this.#streamHeaders.keys();
    if (oldest !== undefined) this.#streamHeaders.delete(oldest);
  }
}

/** The stream of the frame whose head is at this place. */
function streamOf(bytes: Uint8Array, at: number): number {
  return (bytes[at + 5]! & 0x7f) << 24 | bytes[at + 6]! << 16 | bytes[at + 7]! << 8 |
    bytes[at + 8]!;
}
