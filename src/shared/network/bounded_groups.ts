/**
 * This folder decides where a program listens, listens on TCP, and limits what one network address,
 * or one group of clients, can use. Its main types are `WatchedListener`, `BoundedGroups` and
 * `AddressRates`; its main function is `usableAddress`; `addressKey` is what counts as one address.
 * It never reads or writes what a connection carries.
 */

/** How many members a set has at most: in all, and of one group. */
export interface GroupLimits {
  readonly total: number;
  /** As many as in all unless given. */
  readonly perGroup?: number | undefined;
}

/**
 * A bounded set of members by group, for connections by address: when a group is full, a new member
 * evicts the oldest one of its group; when the set is full, the oldest one of the largest group, so
 * that the client that fills the set loses its own members first.
 */
export class BoundedGroups<T> {
  readonly #limits: GroupLimits;
  readonly #groups = new Map<string, Set<T>>();
  #size = 0;

  constructor(limits: GroupLimits) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#size;
  }

  /** Adds a member and returns the one that it evicted. */
  add(group: string, member: T): T | undefined {
    const { total, perGroup = total } = this.#limits;
    const evicted = this.count(group) >= perGroup
      ? this.#evict(group)
      : this.#size >= total
      ? this.#evict(this.#largest())
      : undefined;
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

  #largest(): string {
    let largest = "";
    let most = 0;
    for (const [group, { size }] of this.#groups) {
      if (size > most) [largest, most] = [group, size];
    }
    return largest;
  }

  #evict(group: string): T | undefined {
    const evicted = this.oldest(group);
    if (evicted !== undefined) this.delete(group, evicted);
    return evicted;
  }
}
