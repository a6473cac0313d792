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
  /** What closes each connection, the oldest first, by the key of its address. */
  readonly #open = new Map<string, Set<() => void>>();
  #size = 0;

  constructor(caps: ConnectionCaps) {
    this.#caps = caps;
  }

  /** How many connections are open. */
  get size(): number {
    return this.#size;
  }

  /** Whether an address has as many connections as it may, so that one of them would close. */
  isFull(address: string): boolean {
    return (this.#open.get(addressKey(address))?.size ?? 0) >= this.#caps.perAddress;
  }

  /** Admits a connection until the result is disposed; `close` ends it before that. */
  admit(address: string, close: () => void): Disposable {
    const key = addressKey(address);
    const own = this.#open.get(key);
    if (own !== undefined && own.size >= this.#caps.perAddress) this.#closeOldest(key, own);
    else if (this.#size >= this.#caps.total) this.#closeOldest(...this.#largest());
    // Looked up again: what was closed may have been the last one of this address.
    const connections = this.#open.get(key) ?? new Set();
    this.#open.set(key, connections.add(close));
    this.#size++;
    return { [Symbol.dispose]: () => this.#remove(key, close) };
  }

  #largest(): [string, Set<() => void>] {
    let largest: [string, Set<() => void>] = ["", new Set()];
    for (const entry of this.#open) {
      if (entry[1].size > largest[1].size) largest = entry;
    }
    return largest;
  }

  #closeOldest(key: string, connections: Set<() => void>): void {
    const [oldest] = connections;
    if (oldest === undefined) return;
    this.#remove(key, oldest);
    oldest();
  }

  #remove(key: string, close: () => void): void {
    const connections = this.#open.get(key);
    if (!connections?.delete(close)) return;
    this.#size--;
    if (connections.size === 0) this.#open.delete(key);
  }
}

/**
 * What an address is counted under: an IPv4 address, also when IPv6 maps it, or the /64 prefix of
 * an IPv6 address, because one host can use all addresses below it.
 */
export function addressKey(address: string): string {
  const [, mapped] = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (mapped !== undefined) return mapped;
  if (!address.includes(":")) return address;
  const [head = "", tail] = address.replace(/%.*$/, "").toLowerCase().split("::");
  const groups = head.split(":").filter((group) => group !== "");
  if (tail !== undefined) {
    const behind = tail.split(":").filter((group) => group !== "");
    // A dotted end stands for two groups.
    const behindCount = behind.length + (tail.includes(".") ? 1 : 0);
    while (groups.length + behindCount < 8) groups.push("0");
    groups.push(...behind);
  }
  return `${groups.slice(0, 4).map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
