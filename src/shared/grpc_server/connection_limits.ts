import type { Clock } from "../scheduler/clock.ts";
import type { Rate } from "../scheduler/token_bucket.ts";
import { addressKey } from "../network/address_key.ts";
import { AddressRates } from "../network/address_rates.ts";

/** How often one address may connect. */
export interface ConnectionRates {
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
 * accepted one was closed: as `PeerClosing` states, or for what it sent (`flood`).
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
  readonly rates: ConnectionRates;
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
/** More than the addresses of a large cluster's nodes. */
const mostRecognized = 16_384;

/** Limits how often each address connects. */
export class AddressLimiter {
  readonly #clock: Clock;
  readonly #unknown: AddressRates;
  readonly #recognized: AddressRates;
  /** When a client of the address last showed a valid certificate, by the address's key. */
  readonly #recognizedMs = new Map<string, number>();

  constructor(rates: ConnectionRates, clock: Clock) {
    this.#clock = clock;
    this.#unknown = new AddressRates(clock, rates.unknown);
    this.#recognized = new AddressRates(clock, rates.recognized);
  }

  /** Whether the address may connect now. */
  admits(address: string): boolean {
    return (this.#isRecognized(address) ? this.#recognized : this.#unknown).admits(address);
  }

  /** States that a client of this address has shown a valid certificate. */
  recognize(address: string): void {
    const key = addressKey(address);
    this.#recognizedMs.delete(key);
    this.#recognizedMs.set(key, this.#clock.now().epochMilliseconds);
    if (this.#recognizedMs.size <= mostRecognized) return;
    const [oldest] = this.#recognizedMs.keys();
    if (oldest !== undefined) this.#recognizedMs.delete(oldest);
  }

  #isRecognized(address: string): boolean {
    const key = addressKey(address);
    const atMs = this.#recognizedMs.get(key);
    if (atMs === undefined) return false;
    if (this.#clock.now().epochMilliseconds - atMs < recognitionMs) return true;
    this.#recognizedMs.delete(key);
    return false;
  }
}
