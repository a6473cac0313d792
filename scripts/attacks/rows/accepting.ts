/** Accepting connections: without file descriptors, and when they have ended before. */
import type { Socket } from "node:net";
import { RawConnection } from "../http2/connection.ts";
import { resetWhileStopped } from "../programs/stopped_program.ts";
import { openTcp } from "../http2/socket.ts";
import { type Attack, attackerAddress, InconclusiveFailure } from "../harness/row.ts";
import type { ServiceRow, Skipped } from "../harness/row.ts";
import { pause } from "../harness/service_row.ts";

const fewFiles = 256;
const longestAcceptMs = 2_000;

async function setLimit(pid: number, files: number): Promise<boolean> {
  const args = [`--pid=${pid}`, `--nofile=${files}:`];
  try {
    return (await new Deno.Command("prlimit", { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

async function useUp(attack: Attack): Promise<string | Skipped> {
  const { program, address } = attack.running;
  if (!await setLimit(program.pid, fewFiles)) {
    return { skipped: "prlimit is missing (apt-get install -y util-linux)" };
  }
  const sockets: Socket[] = [];
  for (let n = 0; n < fewFiles * 2 && attack.isAlive(); n++) {
    const socket = await openTcp({ address, from: attackerAddress(n) }).catch(() => undefined);
    if (socket === undefined) continue;
    socket.on("error", () => {});
    sockets.push(socket);
  }
  await pause(500);
  const before = await processorMs(program.pid);
  await pause(1_000);
  const busy = (await processorMs(program.pid)) - before;
  for (const socket of sockets) socket.destroy();
  await setLimit(program.pid, 20_000);
  await pause(500);
  await acceptsAgain(attack);
  if (busy > 800) {
    throw new InconclusiveFailure(`without files left, accepting took ${busy} ms a second`);
  }
  return `${sockets.length} connections, ${busy} ms of processor in a second`;
}

async function processorMs(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
  return ((fields[11] ?? 0) + (fields[12] ?? 0)) * 10;
}

/** A node's new connection, with files to be had again. */
async function acceptsAgain({ service, running, isAlive }: Attack): Promise<void> {
  if (!isAlive()) return;
  const { identity } = await service.node(0);
  const options = { address: running.address, tls: service.tls(identity) };
  const connection = await RawConnection.open(options).catch(() => undefined);
  const isReady = await connection?.becomesReady();
  connection?.[Symbol.dispose]();
  if (isReady !== true) throw new InconclusiveFailure("no connection is accepted with files again");
}

/** Connections that have ended before they are accepted must not keep honest ones waiting. */
async function resetsBeforeAccept({ service, running }: Attack): Promise<string> {
  const { program, address } = running;
  const count = await resetWhileStopped(program, address);
  const began = performance.now();
  const { identity } = await service.node(0);
  using connection = await RawConnection.open({ address, tls: service.tls(identity) });
  const isReady = await connection.becomesReady();
  const ms = Math.round(performance.now() - began);
  if (!isReady || ms > longestAcceptMs) {
    throw new InconclusiveFailure(
      `after ${count} resets a node waited ${ms} ms for its connection`,
    );
  }
  return `${count} resets, then a connection after ${ms} ms`;
}

export const acceptingRows: readonly ServiceRow[] = [
  {
    name: "accepting/file descriptors used up",
    position: "unauthenticated",
    target: "mtls",
    // New connections cannot be accepted meanwhile; open ones keep working, and the program runs.
    expects: { connectionsFailed: Infinity },
    run: useUp,
  },
  {
    name: "accepting/resets before accept",
    position: "unauthenticated",
    target: "mtls",
    run: resetsBeforeAccept,
  },
];
