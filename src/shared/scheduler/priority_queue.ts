/**
 * An entry of a priority queue; its owner extends this class. To change the priority, remove the entry
 * and add it again.
 */
export class QueueItem {
  priority: number;
  /** Set by the queue: of equal priorities, the entry that was added first is first. */
  sequence = 0;
  /** Set by the queue: the entry's index in its array, or -1. */
  position = -1;

  constructor(priority: number) {
    this.priority = priority;
  }
}

/** Entries by ascending priority (a binary heap); each can be removed. An entry is in one queue at most. */
export class PriorityQueue<S extends QueueItem> {
  readonly #entries: S[] = [];
  #sequence = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** The first entry, which remains in the queue. */
  peek(): S | undefined {
    return this.#entries[0];
  }

  /** Adds an entry that is in no queue, after all others of its priority. */
  add(entry: S): void {
    entry.sequence = this.#sequence++;
    this.#entries.push(entry);
    this.#rise(entry, this.#entries.length - 1);
  }

  /** Removes the entry; returns whether the queue contained it. */
  delete(entry: S): boolean {
    const { position } = entry;
    if (position < 0) return false;
    entry.position = -1;
    const last = this.#entries.pop();
    // The last entry takes its place, and moves up or down from there.
    if (last !== undefined && last !== entry) this.#rise(last, this.#sink(last, position));
    return true;
  }

  clear(): void {
    for (const entry of this.#entries) entry.position = -1;
    this.#entries.length = 0;
  }

  #rise(entry: S, from: number): void {
    let position = from;
    while (position > 0) {
      const above = (position - 1) >> 1;
      const parent = this.#entries[above];
      if (parent === undefined || precedes(parent, entry)) break;
      this.#put(parent, position);
      position = above;
    }
    this.#put(entry, position);
  }

  /** Moves the entries that precede this one upwards; returns the free position. */
  #sink(entry: S, from: number): number {
    let position = from;
    for (;;) {
      const left = this.#entries[2 * position + 1];
      const right = this.#entries[2 * position + 2];
      if (left === undefined) return position;
      const leftFirst = right === undefined || precedes(left, right);
      const child = leftFirst ? left : right;
      if (precedes(entry, child)) return position;
      this.#put(child, position);
      position = 2 * position + (leftFirst ? 1 : 2);
    }
  }

  #put(entry: S, position: number): void {
    this.#entries[position] = entry;
    entry.position = position;
  }
}

function precedes(left: QueueItem, right: QueueItem): boolean {
  return left.priority === right.priority
    ? left.sequence < right.sequence
    : left.priority < right.priority;
}
