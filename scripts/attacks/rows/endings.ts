/** A call and a close, in every way a connection can end, on each method. */
import type { RawConnection } from "../http2/connection.ts";
import { dataFrames } from "../http2/connection.ts";
import { errorCode, goaway, headers } from "../http2/frames.ts";
import {
  grpcHeaders,
  grpcMessage,
  issueMessage,
  methodPaths,
  renewMessage,
  reportMessage,
} from "../http2/grpc_request.ts";
import { encodeHeaders } from "../http2/hpack.ts";
import { socketEndings } from "../http2/socket.ts";
import type { Attack, Position, ServiceRow } from "../harness/row.ts";

type Ending = (connection: RawConnection, call: Uint8Array[]) => Promise<void>;

const { fin, reset, closeNotify, destroy } = socketEndings;

/** Each sends the call's frames and ends the connection. */
const endings: Readonly<Record<string, Ending>> = {
  fin: async (connection, call) => {
    await connection.send(...call);
    fin(connection.socket);
  },
  reset: async (connection, call) => {
    await connection.send(...call);
    reset(connection.socket);
  },
  "close_notify": async (connection, call) => {
    await connection.send(...call);
    closeNotify(connection.socket);
  },
  destroy: async (connection, call) => {
    await connection.send(...call);
    destroy(connection.socket);
  },
  "goaway before": async (connection, call) => {
    await connection.send(goaway(), ...call);
    reset(connection.socket);
  },
  "goaway during": async (connection, [head = new Uint8Array(), ...body]) => {
    await connection.send(head, goaway(), ...body);
    reset(connection.socket);
  },
  "goaway after": async (connection, call) => {
    await connection.send(...call, goaway());
    reset(connection.socket);
  },
  "goaway error": async (connection, call) => {
    await connection.send(...call, goaway(0, errorCode.protocolError));
    fin(connection.socket);
  },
  double: async (connection, call) => {
    await connection.send(...call, goaway(), goaway(0, errorCode.protocolError));
    closeNotify(connection.socket);
    fin(connection.socket);
    reset(connection.socket);
  },
  "half a call": async (connection, [head = new Uint8Array()]) => {
    await connection.send(head);
    reset(connection.socket);
  },
};

/** A call of the method as frames of the connection's next stream. */
function callFrames(
  { service, credentials }: Attack,
  connection: RawConnection,
  path: string,
): Uint8Array[] {
  const stream = connection.nextStream();
  const block = encodeHeaders(grpcHeaders(path, credentials));
  return [headers(stream, block), ...dataFrames(stream, grpcMessage(messageOf(service, path)))];
}

function messageOf({ certificateRequest }: Attack["service"], path: string): Uint8Array {
  if (path === methodPaths.issue) return issueMessage(certificateRequest);
  if (path === methodPaths.renew) return renewMessage(certificateRequest);
  if (path === methodPaths.report) return reportMessage([]);
  return new Uint8Array();
}

/** Opens, calls and ends one connection; the ways of opening alternate. */
async function callAndEnd(
  attack: Attack,
  path: string,
  ending: Ending,
  { isSetUp, from }: { isSetUp: boolean; from: number },
): Promise<void> {
  const connection = await attack.connect({}, from).catch(() => undefined);
  if (connection === undefined) return;
  try {
    if (isSetUp) {
      await connection.ready;
      const call = grpcHeaders(methodPaths.issue, attack.credentials);
      const message = grpcMessage(issueMessage(attack.service.certificateRequest));
      await connection.request(call, message, 2_000);
    }
    await ending(connection, callFrames(attack, connection, path));
  } catch {
    // The service refused the connection, as it has to for an unauthenticated client.
  } finally {
    setTimeout(() => connection[Symbol.dispose](), 200);
  }
}

/** Tries each method on new and on set-up connections until the time is spent or the program ended. */
async function endAll(attack: Attack, ending: Ending, atOnce: number): Promise<string> {
  let count = 0;
  while (!attack.isSpent() && attack.isAlive()) {
    for (const [method, path] of Object.entries(methodPaths)) {
      for (const isSetUp of [false, true]) {
        const open = Array.from(
          { length: atOnce },
          (_, from) => callAndEnd(attack, path, ending, { isSetUp, from }),
        );
        await Promise.all(open);
        count += atOnce;
        if (!attack.isAlive()) {
          return `after ${count} connections, the last on ${method}${isSetUp ? ", set up" : ""}`;
        }
        if (attack.isSpent()) break;
      }
    }
  }
  return `${count} connections`;
}

const quickRows = new Set([
  ...["fin 1", "reset 1", "reset 50", "goaway before 1", "goaway during 1"],
  ...["double 1", "double 50", "half a call 1"],
]);

function rowsOf(position: Position, target: "mtls" | "kubernetes"): ServiceRow[] {
  return Object.entries(endings).flatMap(([name, ending]) =>
    [1, 50].map((atOnce): ServiceRow => ({
      name: `call and close/${name}/${atOnce} at once`,
      position,
      target,
      isLong: !quickRows.has(`${name} ${atOnce}`),
      run: (attack) => endAll(attack, ending, atOnce),
    }))
  );
}

/** Outside the gate all endings are one attack: the row tries them in turn. */
async function endInTurn(attack: Attack): Promise<string> {
  const ways = Object.values(endings);
  let count = 0;
  while (!attack.isSpent() && attack.isAlive()) {
    const path = methodPaths.issue;
    const ending = ways[count % ways.length]!;
    await callAndEnd(attack, path, ending, { isSetUp: false, from: count++ });
  }
  return `${count} connections`;
}

export const endingRows: readonly ServiceRow[] = [
  ...rowsOf("node", "mtls"),
  { name: "call and close/each way", position: "unauthenticated", target: "mtls", run: endInTurn },
  { name: "call and close/each way", position: "pod", target: "mtls", run: endInTurn },
  {
    name: "call and close/each way",
    position: "unauthenticated",
    target: "kubernetes",
    run: endInTurn,
  },
];
