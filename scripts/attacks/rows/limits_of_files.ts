/** File descriptors used up: the service is given few, and a stranger takes all of them. */
import type { Socket } from "node:net";
import { openTcp } from "../http2/socket.ts";
import { type Attack, attackerAddress, AttackFailure, type ServiceRow } from "../harness/row.ts";
import { pause } from "../harness/service_row.ts";

const fewFiles = 256;

async function setLimit(pid: number, files: number): Promise<boolean> {
  const args = [`--pid=${pid}`, `--nofile=${files}:`];
  try {
    return (await new Deno.Command("prlimit", { args, stderr: "null" }).output()).success;
  } catch {
    return false;
  }
}

async function useUp(attack: Attack): Promise<string> {
  const { program, address } = attack.running;
  if (!await setLimit(program.pid, fewFiles)) return "prlimit is missing: nothing was tried";
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
  if (busy > 800) throw new AttackFailure(`without files left, accepting took ${busy} ms a second`);
  return `${sockets.length} connections, ${busy} ms of processor in a second`;
}

async function processorMs(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
  return ((fields[11] ?? 0) + (fields[12] ?? 0)) * 10;
}

export const fileRows: readonly ServiceRow[] = [{
  name: "held/file descriptors used up",
  position: "stranger",
  target: "mtls",
  // New connections cannot be accepted meanwhile; open ones go on, and the program lives.
  expects: { connectionsFailed: Infinity },
  run: useUp,
}];
