import { isIPv6 } from "node:net";
import type { Clock } from "../scheduler/clock.ts";
import { type Rate, TokenBucket } from "../scheduler/token_bucket.ts";

/** How often one address may connect. */
export interface AddressRates {
  readonly unknown: Rate;
  /** For an address whose client has shown a valid certificate in the last hour: many nodes may share it. */
  readonly recognized: Rate;
}

/** Why an accepted connection of a client with a certificate is closed. */
export type PeerClosing = "expired" | "rejected" | "connections";

/**
 * Why a connection was not accepted: its address connects too often (`rate`); its handshake was the
 * oldest one when there were too many (`handshakes`), or failed (`tls`); it does not speak HTTP/2
 * (`protocol`); it showed no certificate (`certificate`), or one that was rejected (`peer`). Or why an
 * accepted one was closed: as `PeerClosing` says, or for what it sent (`flood`).
 */
export type ConnectionRefusal =
  | "rate"
  | "handshakes"
  | "tls"
  | "protocol"
  | "certificate"
  | "peer"
  | "flood"
  | PeerClosing;

/** How many connections are open. */
export interface OpenConnections {
  /** In their handshake, or while their certificate is verified. */
  readonly unfinished: number;
  readonly authenticated: number;
  readonly anonymous: number;
}

export interface ConnectionLimits {
  /** Connections in their handshake. */
  readonly handshakes: number;
  /** The duration of a handshake. */
  readonly handshakeMs: number;
  /** Connections without a client certificate, which nothing else bounds. */
  readonly anonymous: number;
  readonly rates: AddressRates;
}

export const defaultLimits: ConnectionLimits = {
  handshakes: 64,
  // Deno's default is two minutes.
  handshakeMs: 5_000,
  anonymous: 1_024,
  rates: {
    unknown: { perSecond: 20, burst: 40 },
    recognized: { perSecond: 200, burst: 400 },
  },
};

const recognitionMs = 3_600_000;
/** More than the addresses of a large cluster's nodes; some 100 bytes each. */
const mostAddresses = 16_384;

/** Limits how often each address connects. */
export class AddressLimiter {
  readonly #rates: AddressRates;
  readonly #clock: Clock;
  /** In the order of the addresses' last connections. */
  readonly #buckets = new Map<string, { bucket: TokenBucket; isRecognized: boolean }>();
  readonly #recognizedMs = new Map<string, number>();

  constructor(rates: AddressRates, clock: Clock) {
    this.#rates = rates;
    this.#clock = clock;
  }

  /** Whether an address (in the form of addressKey) may connect now. */
  admits(address: string): boolean {
    const isRecognized = this.#isRecognized(address);
    let entry = this.#buckets.get(address);
    this.#buckets.delete(address);
    if (entry?.isRecognized !== isRecognized) {
      const rate = isRecognized ? this.#rates.recognized : this.#rates.unknown;
      entry = { bucket: new TokenBucket(rate, this.#clock), isRecognized };
    }
    this.#buckets.set(address, entry);
    forgetFirst(this.#buckets);
    return entry.bucket.take();
  }

  /** States that a client of this address has shown a valid certificate. */
  recognize(address: string): void {
    this.#recognizedMs.delete(address);
    this.#recognizedMs.set(address, this.#clock.now().epochMilliseconds);
    forgetFirst(this.#recognizedMs);
  }

  #isRecognized(address: string): boolean {
    const atMs = this.#recognizedMs.get(address);
    if (atMs === undefined) return false;
    if (this.#clock.now().epochMilliseconds - atMs < recognitionMs) return true;
    this.#recognizedMs.delete(address);
    return false;
  }
}

function forgetFirst(map: Map<string, unknown>): void {
  if (map.size <= mostAddresses) return;
  const [first] = map.keys();
  if (first !== undefined) map.delete(first);
}

/**
 * A bounded set of members by group. When it is full, a new member evicts the oldest one of the
 * largest group, so that a group that fills the set harms itself first.
 */
export class BoundedGroups<T> {
  readonly #limit: number;
  readonly #groups = new Map<string, Set<T>>();
  #size = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a member and returns the one that it evicted. */
  add(group: string, member: T): T | undefined {
    const evicted = this.#size >= this.#limit ? this.#evict() : undefined;
    const members = this.#groups.get(group) ?? new Set();
    this.#groups.set(group, members.add(member));
    this.#size++;
    return evicted;
  }

  /** How many members a group has. */
  count(group: string): number {
    return this.#groups.get(group)?.size ?? 0;
  }

  oldest(group: string): T | undefined {
    return this.#groups.get(group)?.values().next().value;
  }

  delete(group: string, member: T): void {
    const members = this.#groups.get(group);
    if (members === undefined || !members.delete(member)) return;
    this.#size--;
    if (members.size === 0) this.#groups.delete(group);
  }

  *[Symbol.iterator](): IterableIterator<T> {
    for (const members of this.#groups.values()) yield* members;
  }

  #evict(): T | undefined {
    let largest = "";
    let most = 0;
    for (const [group, { size }] of this.#groups) {
      if (size > most) [largest, most] = [group, size];
    }
    const evicted = this.oldest(largest);
    if (evicted !== undefined) this.delete(largest, evicted);
    return evicted;
  }
}

/**
 * What counts as one address: an IPv4 address, also in its IPv6-mapped form, or the first 64 bits of
 * an IPv6 address, because a host can use all addresses that share them.
 */
export function addressKey(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  if (!isIPv6(address)) return address;
  const [head = "", tail] = (address.split("%")[0] ?? "").toLowerCase().split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  // A dotted IPv4 address at the end counts for two groups of 16 bits.
  const length = left.length + right.length + (address.includes(".") ? 1 : 0);
  const zeros = tail === undefined ? [] : Array.from({ length: 8 - length }, () => "0");
  const groups = [...left, ...zeros, ...right].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
