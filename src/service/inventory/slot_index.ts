import { PagedWords } from "./paged_words.ts";
import { Rings } from "./rings.ts";

const leastRings = 4096;
/**
 * Every slot moves when there are more rings, and all else waits for that: with few steps the last
 * one before a million comes at 65,536 slots, which take milliseconds.
 */
const growth = 16;

/** Slots by the hash of a text: those that were added under a hash, the newest first. */
export class SlotIndex {
  /** Random in each process, so that no caller can choose texts of one ring. */
  readonly #seed = crypto.getRandomValues(new Uint32Array(1))[0]!;
  readonly #hashes = new PagedWords();
  readonly #rings = new Rings();
  #firsts = new Uint32Array(leastRings);
  #size = 0;

  /** Adds a slot that is not there. */
  add(slot: number, text: string): void {
    if (++this.#size > this.#firsts.length) this.#grow();
    this.#hashes.set(slot, this.#hash(text));
    this.#append(slot);
  }

  /** Removes a slot that is there. */
  remove(slot: number): void {
    this.#size--;
    const ring = this.#ringOf(slot);
    this.#firsts[ring] = this.#rings.remove(this.#firsts[ring]!, slot);
  }

  /** All slots of the text, the newest first; slots of other texts seldom are among them. */
  find(text: string): number[] {
    const hash = this.#hash(text);
    const first = this.#firsts[hash & (this.#firsts.length - 1)]!;
    return this.#rings.backwards(first).filter((slot) => this.#hashes.get(slot) === hash);
  }

  #append(slot: number): void {
    const ring = this.#ringOf(slot);
    this.#firsts[ring] = this.#rings.append(this.#firsts[ring]!, slot);
  }

  #ringOf(slot: number): number {
    return this.#hashes.get(slot) & (this.#firsts.length - 1);
  }

  #grow(): void {
    const before = this.#firsts;
    this.#firsts = new Uint32Array(before.length * growth);
    for (let first of before) {
      while (first !== 0) {
        const slot = first;
        first = this.#rings.remove(first, slot);
        this.#append(slot);
      }
    }
  }

  /** FNV-1a, over the characters' codes. */
  #hash(text: string): number {
    let hash = this.#seed;
    for (let index = 0; index < text.length; index++) {
      hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
    }
    return (hash ^ hash >>> 15) >>> 0;
  }
}
