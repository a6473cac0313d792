import type { ConnectionCaps } from "../../shared/http/connection_limits.ts";
import { addressKey } from "../../shared/network/address_key.ts";
import { AddressRates } from "../../shared/network/address_rates.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Rate } from "../../shared/scheduler/token_bucket.ts";

/** Limits by address, which can be shared by many nodes (SNAT), and for all addresses. */
export interface AttestationRates {
  /** Connections, before their handshake. */
  readonly connections: Rate;
  /** Complete requests. */
  readonly requests: Rate;
  /** Attestations that are under way. */
  readonly atOnce: ConnectionCaps;
}

const defaultRates: AttestationRates = {
  connections: { perSecond: 50, burst: 100 },
  requests: { perSecond: 20, burst: 40 },
  atOnce: { total: 64, perAddress: 16 },
};

export type AttestationPlace =
  | { readonly kind: "place"; readonly place: Disposable }
  /** This address has too many. */
  | { readonly kind: "overloaded" }
  /** All addresses together have too many. */
  | { readonly kind: "busy" };

/** Applies the limits of one address and of all addresses. */
export class AttestationLimits {
  readonly #connections: AddressRates;
  readonly #requests: AddressRates;
  readonly #atOnce: ConnectionCaps;
  readonly #underWay = new Map<string, number>();
  #total = 0;

  constructor(clock: Clock, { connections, requests, atOnce }: AttestationRates = defaultRates) {
    this.#connections = new AddressRates(clock, connections);
    this.#requests = new AddressRates(clock, requests);
    this.#atOnce = atOnce;
  }

  /** Whether an address may connect once more now. */
  admitsConnection(address: string): boolean {
    return this.#connections.admits(address);
  }

  /** Acquires a place for one attestation, which is released by disposing it. */
  acquire(address: string): AttestationPlace {
    const { total, perAddress } = this.#atOnce;
    const key = addressKey(address);
    const count = this.#underWay.get(key) ?? 0;
    if (count >= perAddress || !this.#requests.admits(address)) return { kind: "overloaded" };
    if (this.#total >= total) return { kind: "busy" };
    this.#total++;
    this.#underWay.set(key, count + 1);
    return { kind: "place", place: { [Symbol.dispose]: () => this.#release(key) } };
  }

  #release(key: string): void {
    this.#total--;
    const rest = (this.#underWay.get(key) ?? 1) - 1;
    if (rest > 0) this.#underWay.set(key, rest);
    else this.#underWay.delete(key);
  }
}
