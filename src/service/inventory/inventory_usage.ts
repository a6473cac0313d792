/** How much the inventory holds. */
export interface Usage {
  certificates: number;
  bytes: number;
}

/** Counts what the inventory holds, in total and for each node, when it changes. */
export class InventoryUsage {
  readonly #total: Usage = { certificates: 0, bytes: 0 };
  readonly #byNode = new Map<string, Usage>();

  get total(): Readonly<Usage> {
    return this.#total;
  }

  ofNode(node: string): Readonly<Usage> {
    return this.#byNode.get(node) ?? { certificates: 0, bytes: 0 };
  }

  /** Counts a certificate that was added. */
  add(node: string | undefined, bytes: number): void {
    this.#change(node, 1, bytes);
  }

  /** Counts a certificate that was removed. */
  remove(node: string | undefined, bytes: number): void {
    this.#change(node, -1, -bytes);
  }

  #change(node: string | undefined, certificates: number, bytes: number): void {
    this.#total.certificates += certificates;
    this.#total.bytes += bytes;
    if (node === undefined) return;
    const usage = this.#byNode.get(node) ?? { certificates: 0, bytes: 0 };
    usage.certificates += certificates;
    usage.bytes += bytes;
    if (usage.certificates === 0) this.#byNode.delete(node);
    else this.#byNode.set(node, usage);
  }
}
