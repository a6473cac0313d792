/** Functions that are called back after each change. */
export class Listeners {
  readonly #listeners = new Set<() => void>();

  /** Calls back until disposed. A function that is added twice is called twice and disposed of once each. */
  add(listener: () => void): Disposable {
    const own = () => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Calls those that were there when the call began. */
  call(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}
