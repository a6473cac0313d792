/** A table whose columns never become narrower, because it is printed page by page. */
export class TextTable<Item> {
  readonly #titles: readonly string[];
  readonly #row: (item: Item) => readonly string[];
  readonly #widths: number[];
  #hasTitles = false;

  /** `row`: the cells of an item, as many as there are titles. */
  constructor(titles: readonly string[], row: (item: Item) => readonly string[]) {
    this.#titles = titles;
    this.#row = row;
    this.#widths = titles.map(({ length }) => length);
  }

  /** The items as lines, below the titles if they are the first ones. */
  format(items: readonly Item[]): string {
    const rows = items.map(this.#row);
    if (!this.#hasTitles) rows.unshift(this.#titles);
    this.#hasTitles = true;
    for (const cells of rows) {
      for (const [column, { length }] of cells.entries()) {
        this.#widths[column] = Math.max(this.#widths[column] ?? 0, length);
      }
    }
    return rows.map((cells) => this.#line(cells)).join("");
  }

  #line(cells: readonly string[]): string {
    const padded = cells.map((cell, column) => cell.padEnd(this.#widths[column] ?? 0));
    return `${padded.join("  ").trimEnd()}\n`;
  }
}
