/** The driver's two unix sockets, called by another program on the node that may open them. */
import { dataFrames, RawConnection } from "../../http2/connection.ts";
import { concat, data, goaway, headers, repeat, rstStream } from "../../http2/frames.ts";
import { frame, frameType, ping, settings } from "../../http2/frames.ts";
import { grpcHeaders, grpcMessage } from "../../http2/grpc_request.ts";
import { encodeHeaders, literal } from "../../http2/hpack.ts";
import { writeBombs } from "../header_tables.ts";
import { socketEndings } from "../../http2/socket.ts";
import { type DriverAttack, type DriverRow } from "../../harness/row.ts";

const paths = [
  "/csi.v1.Node/NodeGetInfo",
  "/csi.v1.Node/NodePublishVolume",
  "/csi.v1.Node/NodeUnpublishVolume",
  "/csi.v1.Identity/Probe",
  "/pluginregistration.Registration/GetInfo",
  "/pluginregistration.Registration/NotifyRegistrationStatus",
  "/nothing.v1.Nothing/Nothing",
];

type SocketAttack = (connection: RawConnection, n: number) => Promise<boolean>;

function addresses({ driver }: DriverAttack): string[] {
  return [driver.csiAddress, driver.registrationAddress];
}

/** One connection after the other on both sockets, each attacked once or until it is closed. */
function onBoth(attack: SocketAttack, times = 1) {
  return async (context: DriverAttack): Promise<string> => {
    let count = 0;
    const one = async (address: string) => {
      while (!context.isSpent() && context.isAlive()) {
        const connection = await RawConnection.open({ address }).catch(() => undefined);
        if (connection === undefined) continue;
        for (let n = 0; n < times && !context.isSpent() && context.isAlive(); n++) {
          if (!await attack(connection, count++)) break;
          await new Promise((resolve) => setImmediate(resolve));
        }
        setTimeout(() => connection[Symbol.dispose](), 100);
      }
    };
    await Promise.all(addresses(context).flatMap((address) => [one(address), one(address)]));
    return `${count} pieces`;
  };
}

const endings = Object.values(socketEndings);

const callAndEnd: SocketAttack = async (connection, n) => {
  const stream = connection.nextStream();
  const block = encodeHeaders(grpcHeaders(paths[n % paths.length]!));
  const call = [headers(stream, block), ...dataFrames(stream, grpcMessage(new Uint8Array()))];
  await connection.send(...call, ...n % 3 === 0 ? [goaway()] : []);
  endings[n % endings.length]!(connection.socket);
  return false;
};

const rapidReset: SocketAttack = (connection) => {
  const streams = Array.from({ length: 50 }, () => {
    const stream = connection.nextStream();
    const block = encodeHeaders(grpcHeaders(paths[1]!));
    return concat(
      headers(stream, block),
      data(stream, grpcMessage(new Uint8Array())),
      rstStream(stream),
    );
  });
  return connection.send(...streams);
};

const bombs: SocketAttack = (connection) =>
  writeBombs(connection, encodeHeaders(grpcHeaders(paths[1]!)), 500);

const continuation: SocketAttack = async (connection) => {
  const stream = connection.nextStream();
  const more = frame(frameType.continuation, 0, stream, literal(["x-b", "c".repeat(100)]));
  const first = headers(stream, encodeHeaders([["x-a", "b"]]), { endHeaders: false });
  return await connection.send(first, repeat(more, 500));
};

const attacks: Readonly<Record<string, (context: DriverAttack) => Promise<string>>> = {
  "call and close": onBoth(callAndEnd),
  "rapid reset": onBoth(rapidReset, Infinity),
  "hpack bomb of 60 KB a stream": onBoth(bombs, Infinity),
  continuation: onBoth(continuation, Infinity),
  ping: onBoth((connection) => connection.send(repeat(ping(), 500)), Infinity),
  settings: onBoth((connection) => connection.send(repeat(settings(), 500)), Infinity),
  garbage: onBoth((connection) => connection.send(crypto.getRandomValues(new Uint8Array(4_096)))),
};

/**
 * Only root opens these sockets, and root needs no socket to stop the driver: the rows check only that
 * the driver keeps running and that its memory is bounded. Peaks of 135 to 255 MiB were measured, so
 * the manifest's limit of 256 MiB would make the row a matter of chance.
 */
const expects = { memoryMiB: 384, lagMs: undefined, callsFailed: Infinity, p99Factor: undefined };

export const driverSocketRows: readonly DriverRow[] = Object.entries(attacks).map((
  [name, run],
): DriverRow => ({
  name: `driver's sockets/${name}`,
  position: "node",
  target: "driver",
  expects,
  run,
}));
