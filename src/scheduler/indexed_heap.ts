interface Slot<K> {
  readonly key: K;
  readonly priority: number;
  /** Breaks ties: of equal priorities, the one that was set first is first. */
  readonly sequence: number;
  /** Where in the heap's array it is; kept here, as a map's entry would cost more than the move itself. */
  position: number;
}

/** Keys by ascending priority, each at most once, and removable by name in logarithmic time. */
export class IndexedHeap<K> {
  readonly #slots: Slot<K>[] = [];
  readonly #byKey = new Map<K, Slot<K>>();
  #sequence = 0;

  get size(): number {
    return this.#slots.length;
  }

  /** The key that is first, left where it is. */
  peek(): { readonly key: K; readonly priority: number } | undefined {
    return this.#slots[0];
  }

  /** Adds the key or moves it; behind all others of the same priority. */
  set(key: K, priority: number): void {
    this.delete(key);
    const position = this.#slots.length;
    const slot = { key, priority, sequence: this.#sequence++, position };
    this.#byKey.set(key, slot);
    this.#slots.push(slot);
    this.#rise(slot, position);
  }

  /** Whether the key was there. */
  delete(key: K): boolean {
    const slot = this.#byKey.get(key);
    if (slot === undefined) return false;
    this.#byKey.delete(key);
    const last = this.#slots.pop();
    // The last slot fills the gap; it may belong above it or below it.
    if (last !== undefined && last !== slot) this.#rise(last, this.#sink(last, slot.position));
    return true;
  }

  clear(): void {
    this.#slots.length = 0;
    this.#byKey.clear();
  }

  #rise(slot: Slot<K>, from: number): void {
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#slots[above];
      if (parent === undefined || precedes(parent, slot)) break;
      this.#put(parent, position);
      position = above;
    }
    this.#put(slot, position);
  }

  /** Moves what precedes the slot upwards; answers the position that is left for it. */
  #sink(slot: Slot<K>, from: number): number {
    let position = from;
    for (;;) {
      const left = this.#slots[2 * position + 1];
      const right = this.#slots[2 * position + 2];
      if (left === undefined) return position;
      const leftFirst = right === undefined || precedes(left, right);
      const child = leftFirst ? left : right;
      if (precedes(slot, child)) return position;
      this.#put(child, position);
      position = 2 * position + (leftFirst ? 1 : 2);
    }
  }

  #put(slot: Slot<K>, position: number): void {
    this.#slots[position] = slot;
    slot.position = position;
  }
}

function precedes<K>(left: Slot<K>, right: Slot<K>): boolean {
  return left.priority === right.priority
    ? left.sequence < right.sequence
    : left.priority < right.priority;
}
