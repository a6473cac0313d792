import { addressKey } from "../network/address_key.ts";
import { BoundedGroups } from "../network/bounded_groups.ts";

/** How many connections are open at most. */
export interface ConnectionCaps {
  readonly total: number;
  readonly perAddress: number;
}

/**
 * Counts open connections in all and per address. A new connection is always admitted: when a cap
 * is reached, the oldest connection of the address that holds most of them closes. A client that
 * sends its request at once is then served while others hold their connections open.
 */
export class ConnectionLimits {
  readonly #caps: ConnectionCaps;
  /** What closes each connection, by the key of its address. */
  readonly #open: BoundedGroups<() => void>;

  constructor(caps: ConnectionCaps) {
    this.#caps = caps;
    this.#open = new BoundedGroups({ total: caps.total, perGroup: caps.perAddress });
  }

  /** How many connections are open. */
  get size(): number {
    return this.#open.size;
  }

  /** Whether an address has as many connections as it may, so that one of them would close. */
  isFull(address: string): boolean {
    return this.#open.count(addressKey(address)) >= this.#caps.perAddress;
  }

  /** Admits a connection until the result is disposed; `close` ends it before that. */
  admit(address: string, close: () => void): Disposable {
    const key = addressKey(address);
    const evicted = this.#open.add(key, close);
    evicted?.();
    return { [Symbol.dispose]: () => this.#open.delete(key, close) };
  }
}
