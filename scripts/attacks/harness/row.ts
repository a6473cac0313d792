/** One row of the suite: an attack, the attacker's position, and what must hold meanwhile. */
import type { ConnectionOptions, RawConnection } from "../http2/connection.ts";
import type { SocketOptions } from "../http2/socket.ts";
import type { AttackedDriver } from "../programs/driver.ts";
import type { Part } from "./parts.ts";
import type { AttackedService, Running } from "../programs/service.ts";
import type { Expectation } from "./verdict.ts";

/** Who attacks: without a certificate, with a pod's valid one, or with a node's valid one. */
export type Position = "unauthenticated" | "pod" | "node";

interface Common {
  /** "group/what", lower case. */
  readonly name: string;
  readonly position: Position;
  /** What differs from the position's expectation, with the reason in the row's file. */
  readonly expects?: Partial<Expectation>;
  readonly needs?: Part;
  /** Left out of the quick form. */
  readonly isLong?: boolean;
}

/** Against the service, with AUTHENTICATION=mtls or kubernetes. */
export interface ServiceRow extends Common {
  readonly target: "mtls" | "kubernetes";
  /** When the attack is cut off, if that is not soon after its budget is spent. */
  readonly longestMs?: number;
  /** Returns what is worth a note; throws an AttackFailure when the service did what it must not. */
  readonly run: (attack: Attack) => Promise<string | Skipped | void>;
}

/** Against the driver, which has no honest callers but its kubelet. */
export interface DriverRow extends Common {
  readonly target: "driver";
  /** What the driver calls in place of an honest service. */
  readonly service?: () => Promise<AsyncDisposable & { readonly address: string }>;
  /** Whether later rows need a new driver. */
  readonly endsDriver?: boolean;
  readonly run: (attack: DriverAttack) => Promise<string | void>;
}

/** A tool or a test that starts the programs it needs by itself. */
export interface OwnRow extends Common {
  readonly target: "own";
  readonly run: (directory: string, budget: Budget) => Promise<string | Skipped | void>;
}

export type Row = ServiceRow | DriverRow | OwnRow;

export interface Skipped {
  readonly skipped: string;
}

/** The time that an attack may last. */
export interface Budget {
  readonly ms: number;
  readonly isSpent: () => boolean;
}

export interface Attack extends Budget {
  readonly service: AttackedService;
  readonly running: Running;
  /** Whether the program still runs: an attack ends as soon as it does not. */
  readonly isAlive: () => boolean;
  /** Connects as the row's position, from the N-th of 16 addresses that no honest node uses. */
  readonly connect: (options?: Partial<ConnectionOptions>, n?: number) => Promise<RawConnection>;
  readonly socket: (n?: number) => SocketOptions;
  /** Metadata that the position adds to its calls. */
  readonly credentials: readonly (readonly [string, string])[];
}

export interface DriverAttack extends Budget {
  readonly driver: AttackedDriver;
  readonly isAlive: () => boolean;
}

/** What a program did that it must not do, in a sentence. */
export class AttackFailure extends Error {}

/**
 * A failure that a busy machine can cause too: nothing was attacked in the time that the row has, or
 * an end came later than it has to. The row is tried again, with more time.
 */
export class InconclusiveFailure extends AttackFailure {}

export function budgetOf(ms: number): Budget {
  const end = performance.now() + ms;
  return { ms, isSpent: () => performance.now() >= end };
}

export function attackerAddress(n: number): string {
  return `127.0.0.${2 + n % 16}`;
}
