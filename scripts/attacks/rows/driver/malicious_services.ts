/** A compromised certificate service, or a server that is none, against the driver. */
import { concat, data, errorCode, frame, frameFlag, frameType } from "../../http2/frames.ts";
import {
  goaway,
  headers,
  ping,
  repeat,
  rstStream,
  settings,
  settingsAck,
} from "../../http2/frames.ts";
import { encodeHeaders, indexed, literal } from "../../http2/hpack.ts";
import { grpcMessage } from "../../http2/grpc_request.ts";
import { AttackFailure, type DriverAttack, type DriverRow } from "../../harness/row.ts";
import { type Behaviour, MaliciousService, type Peer } from "../../programs/malicious_service.ts";
import { pause } from "../../harness/service_row.ts";

const status200 = encodeHeaders([[":status", "200"], ["content-type", "application/grpc"]]);
const trailers = encodeHeaders([["grpc-status", "0"]]);

function answer(stream: number, message: Uint8Array): Uint8Array {
  return concat(
    headers(stream, status200),
    data(stream, grpcMessage(message), false),
    headers(stream, trailers, { endStream: true }),
  );
}

const polite = (peer: Peer) => peer.send(settings(), settingsAck());

function onCall(act: (peer: Peer, stream: number) => void): Behaviour {
  return { onConnection: polite, onCall: act };
}

/** Writes a piece again and again, as fast as the driver reads, or much faster than that. */
function forever(peer: Peer, piece: () => Uint8Array): void {
  const write = () => {
    if (!peer.isOpen) return;
    if (peer.socket.write(piece())) setImmediate(write);
    else peer.socket.once("drain", write);
  };
  write();
}

const bombEntry = literal(["x-a", "b".repeat(3_900)], "indexed");
const mebibyte = new Uint8Array(1024 * 1024);

/** Frames of 16 KiB that make up 1 MiB of a message, regardless of the driver's window. */
function mebibyteOf(stream: number): Uint8Array {
  const part = data(stream, mebibyte.subarray(0, 16_384), false);
  return repeat(part, 64);
}

const behaviours: Readonly<Record<string, Behaviour>> = {
  "goaway at once": { onConnection: (peer) => peer.send(goaway()) },
  "goaway after SETTINGS": {
    onConnection: (peer) => {
      polite(peer);
      peer.send(goaway());
    },
  },
  "goaway at a call": onCall((peer) => peer.send(goaway())),
  "goaway at a call, then closed": onCall((peer) => {
    peer.send(goaway());
    peer.socket.end();
  }),
  "goaway within an answer": onCall((peer, stream) => {
    peer.send(headers(stream, status200), goaway(stream), data(stream, new Uint8Array(3), false));
    peer.socket.end();
  }),
  "goaway after an answer": onCall((peer, stream) => {
    peer.send(answer(stream, new Uint8Array()), goaway(stream));
  }),
  "goaway with an error, twice": onCall((peer) => {
    peer.send(goaway(0, errorCode.protocolError), goaway(0, errorCode.protocolError));
    peer.socket.resetAndDestroy();
  }),
  "reset at a call": onCall((peer) => peer.socket.resetAndDestroy()),
  "each stream reset": onCall((peer, stream) => peer.send(rstStream(stream))),
  "endless 1xx": onCall((peer, stream) => {
    const early = headers(stream, encodeHeaders([[":status", "103"], ["x-a", "b".repeat(500)]]));
    forever(peer, () => repeat(early, 50));
  }),
  "an answer of 100 MB": onCall((peer, stream) => {
    const message = grpcMessage(new Uint8Array(), { length: 100 * 1024 * 1024 });
    peer.send(headers(stream, status200), data(stream, message, false));
    let sent = 0;
    forever(peer, () => sent++ < 100 ? mebibyteOf(stream) : ping());
  }),
  "an answer of headers without end": onCall((peer, stream) => {
    peer.send(headers(stream, status200, { endHeaders: false }));
    const more = frame(frameType.continuation, 0, stream, literal(["x-a", "b".repeat(1_000)]));
    forever(peer, () => repeat(more, 50));
  }),
  "an answer of a header bomb": onCall((peer, stream) => {
    peer.send(headers(stream, concat(status200, bombEntry)));
    const block = concat(trailers, repeat(indexed(62), 15));
    peer.send(headers(stream, block, { endStream: true }));
  }),
  "an error of 1 MB": onCall((peer, stream) => {
    const block = encodeHeaders([
      [":status", "200"],
      ["grpc-status", "13"],
      ["grpc-message", "a".repeat(1024 * 1024)],
    ]);
    peer.send(headers(stream, block, { endStream: true }));
  }),
  "pushed streams": onCall((peer, stream) => {
    const promised = concat(Uint8Array.of(0, 0, 0, 2), status200);
    peer.send(frame(frameType.pushPromise, frameFlag.endHeaders, stream, promised));
  }),
  "SETTINGS without end": {
    onConnection: (peer) => forever(peer, () => repeat(settings(), 500)),
  },
  "PING without end": {
    onConnection: (peer) => {
      polite(peer);
      forever(peer, () => repeat(ping(), 500));
    },
  },
  "never answering": { onConnection: polite },
  "never speaking": {},
  "answers that are no messages": onCall((peer, stream) =>
    peer.send(answer(stream, crypto.getRandomValues(new Uint8Array(500))))
  ),
  "answers of 10,000 empty certificates": onCall((peer, stream) =>
    peer.send(answer(stream, repeat(Uint8Array.of(0x0a, 0x00), 10_000)))
  ),
  "HTTP/1.1": {
    onConnection: (peer) =>
      peer.send(new TextEncoder().encode("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")),
  },
};

/** Publishes again and again while the service behaves so; nothing of it may succeed. */
async function publishing({ driver, isSpent, isAlive }: DriverAttack): Promise<string> {
  let count = 0;
  while (!isSpent() && isAlive()) {
    const { answer } = await driver.publish(1_000).catch(() => ({ answer: undefined }));
    if (answer?.grpcStatus === "0") throw new AttackFailure("a volume was published");
    count++;
    await pause(50);
  }
  return `${count} volumes`;
}

/** Close relatives of other rows: not in the quick form. */
const longOnly = new Set([
  ...["goaway after SETTINGS", "goaway at a call, then closed", "goaway after an answer"],
  ...["never speaking", "pushed streams", "answers of 10,000 empty certificates"],
]);

export const maliciousServiceRows: readonly DriverRow[] = Object.entries(behaviours).map((
  [name, behaviour],
): DriverRow => ({
  name: `malicious service/${name}`,
  position: "unauthenticated",
  target: "driver",
  isLong: longOnly.has(name),
  expects: { p99Factor: undefined },
  service: () => MaliciousService.start(behaviour),
  run: publishing,
}));
