import { PagedWords } from "./paged_words.ts";

/**
 * Slots, which are numbers from 1, in circles: each is known by its first slot, 0 when it is empty.
 * A slot is in one ring at most, and leaves it at once, however long the ring is.
 */
export class Rings {
  readonly #next = new PagedWords();
  readonly #previous = new PagedWords();

  /** Puts the slot last into a ring; returns the ring's first. */
  append(first: number, slot: number): number {
    const last = first === 0 ? slot : this.#previous.get(first);
    this.#join(last, slot);
    this.#join(slot, first || slot);
    return first || slot;
  }

  /** Takes the slot out of its ring; returns the ring's first. */
  remove(first: number, slot: number): number {
    const next = this.#next.get(slot);
    this.#join(this.#previous.get(slot), next);
    if (slot !== first) return first;
    return next === slot ? 0 : next;
  }

  /** The slots of a ring, from the last to the first. */
  backwards(first: number): number[] {
    if (first === 0) return [];
    const slots: number[] = [];
    let slot = first;
    do {
      slot = this.#previous.get(slot);
      slots.push(slot);
    } while (slot !== first);
    return slots;
  }

  #join(left: number, right: number): void {
    this.#next.set(left, right);
    this.#previous.set(right, left);
  }
}
