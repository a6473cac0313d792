import { PriorityQueue, QueueItem } from "../../shared/scheduler/priority_queue.ts";

class KeySlot<K> extends QueueItem {
  readonly key: K;

  constructor(key: K, priority: number) {
    super(priority);
    this.key = key;
  }
}

/** Keys by ascending priority, each at most once, and removable by name in logarithmic time. */
export class IndexedHeap<K> {
  readonly #heap = new PriorityQueue<KeySlot<K>>();
  readonly #byKey = new Map<K, KeySlot<K>>();

  get size(): number {
    return this.#heap.size;
  }

  /** The key that is first, left where it is. */
  peek(): { readonly key: K; readonly priority: number } | undefined {
    return this.#heap.peek();
  }

  /** Adds the key or moves it; behind all others of the same priority. */
  set(key: K, priority: number): void {
    this.delete(key);
    const slot = new KeySlot(key, priority);
    this.#byKey.set(key, slot);
    this.#heap.add(slot);
  }

  /** Whether the key was there. */
  delete(key: K): boolean {
    const slot = this.#byKey.get(key);
    if (slot === undefined) return false;
    this.#byKey.delete(key);
    return this.#heap.delete(slot);
  }

  clear(): void {
    this.#heap.clear();
    this.#byKey.clear();
  }
}
