/** Connections that are kept open: with half a handshake, half a request, or no data. */
import type { Socket } from "node:net";
import type { RawConnection } from "../http2/connection.ts";
import { data, headers, windowUpdate } from "../http2/frames.ts";
import { grpcHeaders, grpcMessage, methodPaths } from "../http2/grpc_request.ts";
import { encodeHeaders } from "../http2/hpack.ts";
import { openTcp } from "../http2/socket.ts";
import { clientHello } from "../http2/client_hello.ts";
import {
  type Attack,
  attackerAddress,
  AttackFailure,
  InconclusiveFailure,
  type ServiceRow,
} from "../harness/row.ts";
import { countOpen, repeatInParallel } from "../harness/repetition.ts";
import { pause } from "../harness/service_row.ts";

/** How many the service keeps (docs/reference/grpc.md): those in their handshake, and of one node. */
const mostHandshakes = 64;
const mostOfNode = 4;

/** More are not opened by one row: both ends of each are files of this machine. */
const mostSockets = { quick: 2_000, long: 6_000 };

function most({ ms }: Attack): number {
  return ms > 5_000 ? mostSockets.long : mostSockets.quick;
}

/** Opens TCP connections and keeps them, each with `first` written; returns how many there were. */
async function holdTcp(
  attack: Attack,
  first: (n: number) => Uint8Array | undefined,
  from: (n: number) => string = attackerAddress,
): Promise<{ sockets: Socket[]; opened: number }> {
  const sockets: Socket[] = [];
  let opened = 0;
  while (opened < most(attack) && !attack.isSpent() && attack.isAlive()) {
    await Promise.all(Array.from({ length: 50 }, async () => {
      const n = opened++;
      const socket = await openTcp({ address: attack.running.address, from: from(n) })
        .catch(() => undefined);
      if (socket === undefined) return;
      socket.on("error", () => {});
      socket.resume();
      const bytes = first(n);
      if (bytes !== undefined) socket.write(bytes);
      sockets.push(socket);
    }));
    await pause(1);
  }
  return { sockets, opened };
}

async function held(
  attack: Attack,
  first: (n: number) => Uint8Array | undefined,
  from?: (n: number) => string,
): Promise<string> {
  const { sockets, opened } = await holdTcp(attack, first, from);
  await pause(500);
  const open = await countOpen(sockets, ({ destroyed }) => !destroyed, mostHandshakes);
  for (const socket of sockets) socket.destroy();
  if (open > mostHandshakes) {
    throw new InconclusiveFailure(`${open} unfinished handshakes are kept`);
  }
  return `${opened} connections, ${open} still open at the end`;
}

/** A handshake that is sent one byte at a time, for longer than a handshake may last. */
async function slowHandshakes(attack: Attack): Promise<string> {
  const hello = clientHello();
  const { sockets } = await holdTcp(attack, () => hello.subarray(0, 1));
  let at = 1;
  while (!attack.isSpent() && attack.isAlive()) {
    for (const socket of sockets) {
      if (!socket.destroyed) socket.write(hello.subarray(at, at + 1));
    }
    at++;
    await pause(100);
  }
  for (const socket of sockets) socket.destroy();
  return `${sockets.length} connections`;
}

/** In 7 seconds every connection that began no handshake has to be closed. */
async function closesUnfinished(attack: Attack): Promise<string> {
  const hello = clientHello();
  const { sockets } = await holdTcp(attack, (n) => n % 2 === 0 ? undefined : hello.subarray(0, 20));
  await pause(7_000);
  const open = sockets.filter(({ destroyed }) => !destroyed).length;
  for (const socket of sockets) socket.destroy();
  if (open > 0) throw new InconclusiveFailure(`${open} unfinished handshakes are open after 7 s`);
  return `${sockets.length} connections, all closed`;
}

/** Garbage where a ClientHello belongs, then a reset. */
export async function abortHandshakes(attack: Attack): Promise<string> {
  const hello = clientHello();
  let count = 0;
  while (!attack.isSpent() && attack.isAlive()) {
    await Promise.all(Array.from({ length: 20 }, async () => {
      const n = count++;
      const socket = await openTcp({ address: attack.running.address, from: attackerAddress(n) })
        .catch(() => undefined);
      if (socket === undefined) return;
      socket.on("error", () => {});
      socket.write(n % 2 === 0 ? crypto.getRandomValues(new Uint8Array(512)) : hello);
      await pause(n % 5);
      if (n % 3 === 0) socket.resetAndDestroy();
      else socket.destroy();
    }));
  }
  return `${count} connections`;
}

/** One ClientHello over and over, each answered with a key exchange and a signature. */
async function replayedHellos(attack: Attack): Promise<string> {
  const hello = clientHello();
  const count = await repeatInParallel(attack, 8, async (n) => {
    const socket = await openTcp({ address: attack.running.address, from: attackerAddress(n) })
      .catch(() => undefined);
    if (socket === undefined) return;
    socket.on("error", () => {});
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, 1_000);
    socket.once("data", () => resolve());
    socket.once("close", () => resolve());
    socket.write(hello);
    await promise;
    clearTimeout(timer);
    socket.resetAndDestroy();
  });
  return `${count} handshakes`;
}

/** HTTP/2 connections that are set up and then idle; a limited number may remain open. */
async function idle(attack: Attack, mostOpen: number): Promise<string> {
  let count = 0;
  const connections: RawConnection[] = [];
  while (!attack.isSpent() && attack.isAlive() && count < most(attack)) {
    const opened = await Promise.all(
      Array.from({ length: 10 }, (_, n) => attack.connect({}, n).catch(() => undefined)),
    );
    count += opened.length;
    connections.push(...opened.filter((connection) => connection !== undefined));
  }
  const open = await countOpen(connections, ({ isOpen }) => isOpen, mostOpen);
  if (open > mostOpen) throw new AttackFailure(`${open} of ${count} idle connections are kept`);
  return `${count} connections, ${open} still open at the end`;
}

/** Requests whose body does not arrive, with every stream that a connection may have. */
async function unfinishedBodies(attack: Attack): Promise<string> {
  const block = encodeHeaders(grpcHeaders(methodPaths.issue, attack.credentials));
  const start = grpcMessage(new Uint8Array(), { length: 30_000 });
  let streams = 0;
  for (let n = 0; n < 40 && !attack.isSpent() && attack.isAlive(); n++) {
    const connection = await attack.connect({}, n).catch(() => undefined);
    for (let each = 0; connection?.isOpen && each < 32; each++) {
      const stream = connection.nextStream();
      await connection.send(headers(stream, block), data(stream, start, false));
      streams++;
    }
  }
  while (!attack.isSpent() && attack.isAlive()) await pause(50);
  return `${streams} streams`;
}

/** A body that is sent one byte at a time. */
async function slowBodies(attack: Attack): Promise<string> {
  const block = encodeHeaders(grpcHeaders(methodPaths.issue, attack.credentials));
  const connection = await attack.connect();
  const streams = Array.from({ length: 32 }, () => connection.nextStream());
  for (const stream of streams) await connection.send(headers(stream, block));
  let bytes = 0;
  while (!attack.isSpent() && attack.isAlive() && connection.isOpen) {
    for (const stream of streams) {
      await connection.send(data(stream, new Uint8Array(1), false));
      bytes++;
    }
    await pause(20);
  }
  return `${bytes} bytes on ${streams.length} streams`;
}

/** Watches whose window is too small for what the service sends. */
async function heldWatches(attack: Attack): Promise<string> {
  const block = encodeHeaders(grpcHeaders(methodPaths.watch, attack.credentials));
  let streams = 0;
  for (let n = 0; n < 40 && !attack.isSpent() && attack.isAlive(); n++) {
    const connection = await attack.connect({ settings: [[4, 10]] }, n).catch(() => undefined);
    for (let each = 0; connection?.isOpen && each < 32; each++) {
      const stream = connection.nextStream();
      const message = data(stream, grpcMessage(new Uint8Array()));
      await connection.send(headers(stream, block), message, windowUpdate(stream, 1));
      streams++;
    }
  }
  while (!attack.isSpent() && attack.isAlive()) await pause(50);
  return `${streams} watches`;
}

/** Every other program may share the honest nodes' address (SNAT). */
const honestAddress = () => "127.0.0.1";

/** Rows that need no certificate, for each value of AUTHENTICATION. */
const beforeTls: Readonly<Record<string, (attack: Attack) => Promise<string>>> = {
  "held/half-open connections": (attack) => held(attack, () => undefined),
  "held/slow handshakes": slowHandshakes,
  "handshakes/garbage and resets": abortHandshakes,
  "handshakes/replayed ClientHellos": replayedHellos,
};

export const slowRows: readonly ServiceRow[] = [
  ...(["mtls", "kubernetes"] as const).flatMap((target) =>
    Object.entries(beforeTls).map(([name, run]): ServiceRow => ({
      name,
      position: "unauthenticated",
      target,
      // The gRPC port is the same with both: the quick form attacks it once.
      isLong: target === "kubernetes",
      run,
    }))
  ),
  {
    name: "held/half-open connections from the honest nodes' address",
    position: "unauthenticated",
    target: "mtls",
    // A node that shares the attacker's address shares its limits; open connections keep working.
    expects: { connectionsFailed: Infinity },
    run: (attack) => held(attack, () => undefined, honestAddress),
  },
  {
    name: "held/unfinished handshakes are closed",
    position: "unauthenticated",
    target: "mtls",
    run: closesUnfinished,
  },
  {
    name: "held/idle connections",
    position: "unauthenticated",
    target: "mtls",
    run: (attack) => idle(attack, 0),
  },
  {
    name: "held/idle connections",
    position: "pod",
    target: "mtls",
    run: (attack) => idle(attack, 0),
  },
  {
    name: "held/idle connections",
    position: "node",
    target: "mtls",
    run: (attack) => idle(attack, mostOfNode),
  },
  { name: "held/unfinished bodies", position: "node", target: "mtls", run: unfinishedBodies },
  { name: "held/slow bodies", position: "node", target: "mtls", run: slowBodies },
  { name: "held/watches", position: "node", target: "mtls", run: heldWatches },
];
