const pageBits = 12;
const pageWords = 1 << pageBits;

/** Unsigned 32-bit numbers by index, zero until set; grows by a page and never moves what it holds. */
export class PagedWords {
  readonly #pages: Uint32Array[] = [];

  get(index: number): number {
    return this.#pages[index >>> pageBits]?.[index & (pageWords - 1)] ?? 0;
  }

  set(index: number, value: number): void {
    const number = index >>> pageBits;
    while (this.#pages.length <= number) this.#pages.push(new Uint32Array(pageWords));
    this.#pages[number]![index & (pageWords - 1)] = value;
  }
}
