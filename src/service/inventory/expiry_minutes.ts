import { IndexedHeap } from "./indexed_heap.ts";
import { PagedWords } from "./paged_words.ts";
import { Rings } from "./rings.ts";

/**
 * Slots by the minute at which they expire, those of one minute in the order of their coming. There
 * are far fewer minutes than slots to be kept in order.
 */
export class ExpiryMinutes {
  readonly #minuteOf = new PagedWords();
  readonly #rings = new Rings();
  /** The first slot of each minute. */
  readonly #firsts = new Map<number, number>();
  readonly #order = new IndexedHeap<number>();

  /** Adds a slot that is not there; in seconds since the epoch. */
  add(slot: number, seconds: number): void {
    const minute = minuteOf(seconds);
    this.#minuteOf.set(slot, minute);
    const first = this.#firsts.get(minute) ?? 0;
    if (first === 0) this.#order.set(minute, minute);
    this.#firsts.set(minute, this.#rings.append(first, slot));
  }

  /** The first slot whose minute had ended at that time; without a time, the first of all. */
  first(seconds = Infinity): number | undefined {
    const minute = this.#order.peek()?.key;
    if (minute === undefined || minute >= minuteOf(seconds)) return undefined;
    return this.#firsts.get(minute);
  }

  /** Removes a slot that is there. */
  remove(slot: number): void {
    const minute = this.#minuteOf.get(slot);
    const first = this.#rings.remove(this.#firsts.get(minute) ?? 0, slot);
    if (first !== 0) return void this.#firsts.set(minute, first);
    this.#firsts.delete(minute);
    this.#order.delete(minute);
  }
}

function minuteOf(seconds: number): number {
  return Math.floor(seconds / 60);
}
