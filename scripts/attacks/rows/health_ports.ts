/** The health ports of both programs, which have no TLS and are open to the kubelet's network. */
import type { Socket } from "node:net";
import { openTcp } from "../http2/socket.ts";
import {
  attackerAddress,
  AttackFailure,
  type Budget,
  InconclusiveFailure,
} from "../harness/row.ts";
import type { DriverRow, ServiceRow } from "../harness/row.ts";
import { countOpen } from "../harness/repetition.ts";
import { pause } from "../harness/service_row.ts";
import { resetWhileStopped } from "../programs/stopped_program.ts";
import type { Program } from "../../support/programs.ts";

export interface HealthTarget extends Budget {
  readonly healthAddress: string;
  readonly isAlive: () => boolean;
  readonly program: Program;
}

type HealthAttack = (target: HealthTarget) => Promise<string>;

/** The deadline for a request's head, and a second more. */
const headMs = 5_000 + 1_000;
/** How many connections the program keeps (docs/reference/metrics.md), and a few more. */
const mostKept = 128 + 8;

async function hold(target: HealthTarget, first: string): Promise<Socket[]> {
  const sockets: Socket[] = [];
  const most = target.ms > 5_000 ? 8_000 : 3_000;
  for (let n = 0; n < most && !target.isSpent() && target.isAlive(); n += 25) {
    await Promise.all(Array.from({ length: 25 }, async (_, each) => {
      const from = attackerAddress(n + each);
      const socket = await openTcp({ address: target.healthAddress, from }).catch(() => undefined);
      if (socket === undefined) return;
      socket.on("error", () => {});
      socket.resume();
      socket.write(first);
      sockets.push(socket);
    }));
  }
  return sockets;
}

const unfinishedHead = `GET /livez HTTP/1.1\r\nhost: a\r\nx-a: ${"b".repeat(1_000)}`;

const unfinished: HealthAttack = async (target) => {
  const sockets = await hold(target, unfinishedHead);
  const open = await countOpen(sockets, ({ destroyed }) => !destroyed, mostKept);
  for (const socket of sockets) socket.destroy();
  if (open > mostKept) throw new AttackFailure(`${open} connections are kept`);
  return `${sockets.length} connections, ${open} kept`;
};

const untilDeadline: HealthAttack = async (target) => {
  // Fewer than the program keeps, so that only the deadline can close them.
  const sockets = await hold({ ...target, isSpent: once(4) }, unfinishedHead);
  await pause(headMs);
  const open = sockets.filter(({ destroyed }) => !destroyed).length;
  for (const socket of sockets) socket.destroy();
  if (open > 0) throw new InconclusiveFailure(`${open} half requests are open after ${headMs} ms`);
  return `${sockets.length} half requests, all closed`;
};

function once(times: number): () => boolean {
  let left = times;
  return () => left-- <= 0;
}

const pipelined: HealthAttack = async (target) => {
  const requests = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(200);
  let count = 0;
  while (!target.isSpent() && target.isAlive()) {
    const sockets = await hold({ ...target, isSpent: once(1) }, requests);
    count += sockets.length;
    await pause(50);
    for (const socket of sockets) socket.resetAndDestroy();
  }
  return `${count * 200} requests`;
};

/** The answers are not read, so that the program has to keep them. */
const pipelinedUnread: HealthAttack = async (target) => {
  const requests = "GET /metrics HTTP/1.1\r\nhost: a\r\n\r\n".repeat(500);
  const sockets = await hold({ ...target, isSpent: once(4) }, requests);
  for (const socket of sockets) socket.pause();
  while (!target.isSpent() && target.isAlive()) await pause(50);
  for (const socket of sockets) socket.destroy();
  return `${sockets.length * 500} requests`;
};

const hugeHeaders: HealthAttack = async (target) => {
  const head = `GET /livez HTTP/1.1\r\nhost: a\r\nx-a: ${"b".repeat(900_000)}`;
  let count = 0;
  while (!target.isSpent() && target.isAlive()) {
    const sockets = await hold({ ...target, isSpent: once(1) }, head);
    count += sockets.length;
    await pause(50);
    for (const socket of sockets) socket.destroy();
  }
  return `${count} requests`;
};

/** Requests that are none, each answered 400 or by a close. */
const malformed: HealthAttack = async ({ healthAddress }) => {
  const wrong: string[] = [];
  const texts = [
    "GET  HTTP/1.1\r\n\r\n",
    "GET //[ HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET http://[ HTTP/1.1\r\nhost: a\r\n\r\n",
    "GET /livez HTTP/1.1\r\nhost: [\r\n\r\n",
    "GET /livez HTTP/1.1\r\nhost: \r\n\r\n",
    "GET * HTTP/1.1\r\nhost: a\r\n\r\n",
    "\0\0\0\r\n\r\n",
    "GET /livez HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
    "GET /%ff%00 HTTP/1.1\r\nhost: a\r\n\r\n",
  ];
  for (const text of texts) {
    const answer = await answerTo(healthAddress, text);
    if (/^HTTP\/1\.1 5/.test(answer)) wrong.push(JSON.stringify(text.split("\r\n")[0]));
  }
  if (wrong.length > 0) throw new AttackFailure(`answered with 5xx: ${wrong.join(", ")}`);
  return `${texts.length} requests`;
};

async function answerTo(address: string, text: string): Promise<string> {
  const socket = await openTcp({ address, from: attackerAddress(0) });
  const { promise, resolve } = Promise.withResolvers<string>();
  const timer = setTimeout(() => resolve(""), 1_000);
  for (const event of ["error", "close"]) socket.once(event, () => resolve(""));
  socket.once("data", (bytes: Uint8Array) => resolve(new TextDecoder().decode(bytes)));
  socket.write(text);
  const answer = await promise;
  clearTimeout(timer);
  socket.destroy();
  return answer;
}

/** A port that is slow to accept finds connections that have already ended. */
const resetBeforeAccept: HealthAttack = async ({ healthAddress, program }) => {
  const count = await resetWhileStopped(program, healthAddress);
  const began = performance.now();
  const answer = await answerTo(healthAddress, "GET /livez HTTP/1.1\r\nhost: a\r\n\r\n");
  const ms = Math.round(performance.now() - began);
  if (!answer.startsWith("HTTP/1.1 200")) {
    throw new InconclusiveFailure(`after ${count} resets /livez was not answered within ${ms} ms`);
  }
  return `${count} resets, then an answer after ${ms} ms`;
};

const attacks: Readonly<Record<string, HealthAttack>> = {
  "unfinished requests": unfinished,
  "unfinished requests are closed": untilDeadline,
  pipelining: pipelined,
  "pipelining without reading": pipelinedUnread,
  "huge headers": hugeHeaders,
  "malformed requests": malformed,
  "resets before accept": resetBeforeAccept,
};

/** The kubelet's probe comes from the same network: it may wait for a place while the port is full. */
const expects = { p99Factor: undefined };

export const serviceHealthRows: readonly ServiceRow[] = Object.entries(attacks).map((
  [name, run],
) => ({
  name: `health port/${name}`,
  position: "unauthenticated",
  target: "mtls",
  expects,
  run: (attack) => run({ ...attack, ...attack.running }),
}));

export const driverHealthRows: readonly DriverRow[] = Object.entries(attacks).map((
  [name, run],
) => ({
  name: `health port/${name}`,
  position: "unauthenticated",
  target: "driver",
  // Both programs have the same health port: what costs it most is tried on the service.
  isLong: name === "huge headers" || name === "unfinished requests are closed",
  expects,
  run: (attack) => {
    const { healthAddress, program } = attack.driver;
    return run({ ...attack, healthAddress, program });
  },
}));
