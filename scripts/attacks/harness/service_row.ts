/** Carries out one row against the service and records what it and its honest callers went through. */
import { RawConnection } from "../http2/connection.ts";
import type { ClientIdentity } from "../http2/socket.ts";
import { type HonestSummary } from "../honest/calls.ts";
import { largestLag, peakMiB, readLag, resetPeak, residentMiB } from "./process_state.ts";
import {
  type Attack,
  attackerAddress,
  AttackFailure,
  budgetOf,
  InconclusiveFailure,
} from "./row.ts";
import type { ServiceRow, Skipped } from "./row.ts";
import type { AttackedService, Running } from "../programs/service.ts";
import type { Observation } from "./verdict.ts";

/** How long honest callers are observed after the attack: its later effects count too. */
const settleMs = 300;
/** A process that needs more is ended by the suite, before the machine runs out of memory. */
const mostMiB = 3_072;
/** More than this at rest, and the next row gets a new process. */
const mostAtRestMiB = 170;
const quietMs = 3_000;

/** p99 of honest calls while nothing attacks. */
export async function measureQuiet(service: AttackedService): Promise<HonestSummary> {
  await service.running();
  await pause(1_000);
  await service.callers.collect();
  await pause(quietMs);
  return await service.callers.collect();
}

/** What a row's run showed; `skipped`: why nothing was tried. */
export interface RunOutcome {
  readonly seen: Observation;
  readonly note: string;
  readonly skipped?: string | undefined;
}

export async function runServiceRow(
  row: ServiceRow,
  service: AttackedService,
  options: { ms: number; quietP99Ms: number },
): Promise<RunOutcome> {
  const running = await service.running();
  if (running.isNew) await pause(500);
  const { program, healthAddress } = running;
  let exitCode: number | undefined;
  program.ended().then(({ code }) => exitCode = code);
  const { attack, reached, dispose } = await makeAttack(
    row,
    service,
    running,
    options.ms,
    () => exitCode === undefined,
  );
  await resetPeak(program.pid);
  const lagBefore = await readLag(healthAddress);
  await service.callers.collect();
  using memory = watchMemory(program.pid, () => program.signal("SIGKILL"));
  await memory.look();
  const outcome = await outcomeOf(() => row.run(attack), attack, row.longestMs);
  const { note, skipped } = outcome;
  const isUnreached = outcome.failure === undefined && !reached();
  await pause(settleMs);
  dispose();
  const honest = await service.callers.collect();
  await memory.look();
  const lag = exitCode === undefined
    ? largestLag(lagBefore, await readLag(healthAddress))
    : undefined;
  const seen = {
    exitCode,
    memoryMiB: memory.largest,
    lag,
    honest,
    quietP99Ms: options.quietP99Ms,
    failure: isUnreached ? unreached : outcome.failure,
    isInconclusive: isUnreached || outcome.isInconclusive === true,
  };
  if (exitCode !== undefined || await residentMiB(program.pid) > mostAtRestMiB) {
    await service.end();
  }
  return { seen, note, skipped };
}

interface AttackOutcome {
  readonly note: string;
  readonly failure: string | undefined;
  readonly isInconclusive?: boolean;
  readonly skipped?: string;
}

export async function outcomeOf(
  run: () => Promise<string | Skipped | void>,
  attack: Pick<Attack, "ms" | "isAlive">,
  longestMs = attack.ms * 3 + 10_000,
): Promise<AttackOutcome> {
  // An attack that never gets an answer must not block the suite.
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new InconclusiveFailure(`the attack did not end within ${longestMs} ms`));
  }, longestMs);
  try {
    const result = await Promise.race([run(), late.promise]) ?? "";
    if (typeof result === "string") return { note: result, failure: undefined };
    return { note: "", failure: undefined, skipped: result.skipped };
  } catch (error) {
    if (error instanceof AttackFailure) {
      const isInconclusive = error instanceof InconclusiveFailure;
      return { note: "", failure: error.message, isInconclusive };
    }
    if (!attack.isAlive()) return { note: `ended the process: ${error}`, failure: undefined };
    const failure = `the attack could not be carried out: ${error}`;
    return { note: "", failure, isInconclusive: true };
  } finally {
    clearTimeout(timer);
  }
}

async function makeAttack(
  row: ServiceRow,
  service: AttackedService,
  running: Running,
  ms: number,
  isAlive: () => boolean,
): Promise<{ attack: Attack; reached: () => boolean; dispose: () => void }> {
  const { identity, token } = await attackerOf(row, service);
  const open: RawConnection[] = [];
  let isConnecting = false;
  let hasSettings = false;
  const socket = (n = 0) => ({
    address: running.address,
    from: attackerAddress(n),
    tls: service.tls(identity),
  });
  const attack: Attack = {
    service,
    running,
    ...budgetOf(ms),
    isAlive,
    socket,
    connect: async (options = {}, n = 0) => {
      isConnecting = true;
      const connection = await RawConnection.open({ ...socket(n), ...options });
      connection.ready.then(() => hasSettings = true, () => {});
      open.push(connection);
      return connection;
    },
    credentials: token === undefined ? [] : [["authorization", `Bearer ${token}`]],
  };
  const dispose = () => {
    for (const connection of open) connection[Symbol.dispose]();
  };
  // Unauthenticated clients and pods have to be refused; a node's attack that is refused has tested nothing.
  const reached = () => row.position !== "node" || !isConnecting || hasSettings;
  return { attack, reached, dispose };
}

const unreached = "no connection of the attacking node was accepted: nothing was attacked";

/** The node that attacks is none of the honest ones. */
export const attackingNode = 9;

async function attackerOf(
  { position }: ServiceRow,
  service: AttackedService,
): Promise<{ identity?: ClientIdentity | undefined; token?: string | undefined }> {
  if (position === "unauthenticated") return {};
  if (position === "pod") return { identity: await service.pod() };
  return await service.node(attackingNode);
}

interface MemoryWatch extends Disposable {
  readonly largest: number;
  look(): Promise<void>;
}

/** Keeps the largest memory seen; a process that passes the limit by far is ended. */
export function watchMemory(pid: number, end: () => void): MemoryWatch {
  const watch = {
    largest: 0,
    look: async () => {
      const peak = await peakMiB(pid);
      watch.largest = Math.max(watch.largest, peak);
      if (peak > mostMiB) end();
    },
    [Symbol.dispose]: () => clearInterval(timer),
  };
  const timer = setInterval(() => void watch.look(), 100);
  return watch;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
