/**
 * What a heap keeps in order: an object of its owner's, so that to be kept costs no other one.
 * To change the priority, take the slot out and add it again.
 */
export class QueueItem {
  priority: number;
  /** The heap's own: breaks ties, as of equal priorities the one that was added first is first. */
  sequence = 0;
  /** The heap's own: where in its array the slot is, or -1; a map's entry would cost more than a move. */
  position = -1;

  constructor(priority: number) {
    this.priority = priority;
  }
}

/** Slots by ascending priority, any of them removable in logarithmic time. A slot is in one heap at most. */
export class PriorityQueue<S extends QueueItem> {
  readonly #slots: S[] = [];
  #sequence = 0;

  get size(): number {
    return this.#slots.length;
  }

  /** The slot that is first, left where it is. */
  peek(): S | undefined {
    return this.#slots[0];
  }

  /** Adds a slot that is in no heap, behind all others of its priority. */
  add(slot: S): void {
    slot.sequence = this.#sequence++;
    this.#slots.push(slot);
    this.#rise(slot, this.#slots.length - 1);
  }

  /** Takes the slot out; whether it was there. */
  delete(slot: S): boolean {
    const { position } = slot;
    if (position < 0) return false;
    slot.position = -1;
    const last = this.#slots.pop();
    // The last slot fills the gap; it may belong above it or below it.
    if (last !== undefined && last !== slot) this.#rise(last, this.#sink(last, position));
    return true;
  }

  clear(): void {
    for (const slot of this.#slots) slot.position = -1;
    this.#slots.length = 0;
  }

  #rise(slot: S, from: number): void {
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
  #sink(slot: S, from: number): number {
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

  #put(slot: S, position: number): void {
    this.#slots[position] = slot;
    slot.position = position;
  }
}

function precedes(left: QueueItem, right: QueueItem): boolean {
  return left.priority === right.priority
    ? left.sequence < right.sequence
    : left.priority < right.priority;
}
