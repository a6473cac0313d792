/**
 * HTTP/2 frames (RFC 9113, section 4) by hand, so that an attack can write what no library writes.
 * Nothing here checks what it encodes: an illegal frame is a legal request to this file.
 */

export const frameType = {
  data: 0x0,
  headers: 0x1,
  priority: 0x2,
  resetStream: 0x3,
  settings: 0x4,
  pushPromise: 0x5,
  ping: 0x6,
  goaway: 0x7,
  windowUpdate: 0x8,
  continuation: 0x9,
} as const;

export const frameFlag = { endStream: 0x1, ack: 0x1, endHeaders: 0x4, padded: 0x8, priority: 0x20 };

export const setting = {
  headerTableSize: 0x1,
  enablePush: 0x2,
  maxConcurrentStreams: 0x3,
  initialWindowSize: 0x4,
  maxFrameSize: 0x5,
  maxHeaderListSize: 0x6,
} as const;

export const errorCode = { noError: 0x0, protocolError: 0x1, cancel: 0x8 } as const;

/** What a client writes first. */
export const preface: Uint8Array = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

/** One frame as it was read. */
export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Uint8Array;
}

const headBytes = 9;
const empty = new Uint8Array();

/** `length`: what the head states, where it is not the payload's. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = empty,
  length = payload.length,
): Uint8Array {
  const bytes = new Uint8Array(headBytes + payload.length);
  bytes[0] = length >> 16;
  bytes[1] = length >> 8;
  bytes[2] = length;
  bytes[3] = type;
  bytes[4] = flags;
  bytes.set(uint32(stream), 5);
  bytes.set(payload, headBytes);
  return bytes;
}

export function settings(values: readonly (readonly [number, number])[] = []): Uint8Array {
  const payload = new Uint8Array(values.length * 6);
  values.forEach(([identifier, value], index) => {
    payload[index * 6] = identifier >> 8;
    payload[index * 6 + 1] = identifier;
    payload.set(uint32(value), index * 6 + 2);
  });
  return frame(frameType.settings, 0, 0, payload);
}

export function settingsAck(): Uint8Array {
  return frame(frameType.settings, frameFlag.ack, 0);
}

export function ping(flags = 0): Uint8Array {
  return frame(frameType.ping, flags, 0, new Uint8Array(8));
}

export function goaway(lastStream = 0, code: number = errorCode.noError): Uint8Array {
  return frame(frameType.goaway, 0, 0, concat(uint32(lastStream), uint32(code)));
}

export function rstStream(stream: number, code: number = errorCode.cancel): Uint8Array {
  return frame(frameType.resetStream, 0, stream, uint32(code));
}

export function windowUpdate(stream: number, increment: number): Uint8Array {
  return frame(frameType.windowUpdate, 0, stream, uint32(increment));
}

/** A stream may not depend on itself; this lets it. */
export function priority(stream: number, dependency: number): Uint8Array {
  return frame(frameType.priority, 0, stream, concat(uint32(dependency), Uint8Array.of(15)));
}

export function data(stream: number, payload: Uint8Array, endStream = true): Uint8Array {
  return frame(frameType.data, endStream ? frameFlag.endStream : 0, stream, payload);
}

/** A header block, in one HEADERS frame and, where it does not fit, CONTINUATION frames. */
export function headers(
  stream: number,
  block: Uint8Array,
  { endStream = false, endHeaders = true, frameBytes = 16_384 } = {},
): Uint8Array {
  const parts: Uint8Array[] = [];
  for (let at = 0; at === 0 || at < block.length; at += frameBytes) {
    const isLast = at + frameBytes >= block.length;
    const flags = (isLast && endHeaders ? frameFlag.endHeaders : 0) |
      (at === 0 && endStream ? frameFlag.endStream : 0);
    const type = at === 0 ? frameType.headers : frameType.continuation;
    parts.push(frame(type, flags, stream, block.subarray(at, at + frameBytes)));
  }
  return concat(...parts);
}

export function concat(...parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The same bytes several times over. */
export function repeat(bytes: Uint8Array, times: number): Uint8Array {
  const repeated = new Uint8Array(bytes.length * times);
  for (let n = 0; n < times; n++) repeated.set(bytes, n * bytes.length);
  return repeated;
}

/** Cuts what is received into frames. */
export class FrameReader {
  #rest = empty;

  push(bytes: Uint8Array): Frame[] {
    let rest = this.#rest.length === 0 ? bytes : concat(this.#rest, bytes);
    const frames: Frame[] = [];
    while (rest.length >= headBytes) {
      const length = (rest[0]! << 16) | (rest[1]! << 8) | rest[2]!;
      if (rest.length < headBytes + length) break;
      frames.push({
        type: rest[3]!,
        flags: rest[4]!,
        stream: readUint32(rest, 5) & 0x7fff_ffff,
        payload: rest.slice(headBytes, headBytes + length),
      });
      rest = rest.subarray(headBytes + length);
    }
    this.#rest = rest.slice();
    return frames;
  }
}

export function readUint32(bytes: Uint8Array, at = 0): number {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength).getUint32(at);
}

function uint32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);
}
