import { PagedWords } from "./paged_words.ts";

/** Small, because a text leaves half of its last block empty. */
const blockBytes = 32;
const pageBits = 12;
const pageBlocks = 1 << pageBits;

/**
 * Bytes in chains of equal blocks, outside the heap: the garbage collector has nothing to follow
 * there, and whatever is freed fits whatever comes.
 */
export class ByteBlocks {
  readonly #pages: Uint8Array[] = [];
  /** The next block of a chain, or of those that are free. */
  readonly #next = new PagedWords();
  /** Blocks are numbers from 1. */
  #free = 0;
  #used = 0;

  /** Keeps a copy; returns its first block. */
  keep(bytes: Uint8Array, length: number): number {
    let first = 0;
    // From the end on, so that each block knows the one that follows.
    for (let from = lastBlockOf(length); from >= 0; from -= blockBytes) {
      const block = this.#take();
      const page = this.#pages[block >>> pageBits]!;
      const start = (block & (pageBlocks - 1)) * blockBytes;
      const count = Math.min(blockBytes, length - from);
      for (let index = 0; index < count; index++) page[start + index] = bytes[from + index]!;
      this.#next.set(block, first);
      first = block;
    }
    return first;
  }

  /** What was kept, and up to a block of other bytes. */
  read(first: number): Uint8Array {
    const blocks: number[] = [];
    for (let block = first; block !== 0; block = this.#next.get(block)) blocks.push(block);
    const bytes = new Uint8Array(blocks.length * blockBytes);
    blocks.forEach((block, index) => {
      const start = (block & (pageBlocks - 1)) * blockBytes;
      const page = this.#pages[block >>> pageBits]!;
      bytes.set(page.subarray(start, start + blockBytes), index * blockBytes);
    });
    return bytes;
  }

  free(first: number): void {
    let last = first;
    for (let next = first; next !== 0; next = this.#next.get(last)) last = next;
    this.#next.set(last, this.#free);
    this.#free = first;
  }

  #take(): number {
    const block = this.#free;
    if (block !== 0) {
      this.#free = this.#next.get(block);
      return block;
    }
    const taken = ++this.#used;
    while (this.#pages.length <= taken >>> pageBits) {
      this.#pages.push(new Uint8Array(pageBlocks * blockBytes));
    }
    return taken;
  }
}

function lastBlockOf(length: number): number {
  return Math.max(0, Math.ceil(length / blockBytes) - 1) * blockBytes;
}
