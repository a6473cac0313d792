/** Locks by name that are taken at once or not at all: nobody queues. */
export class KeyedLock {
  readonly #held = new Set<string>();

  /** The lock, released by disposing it; undefined while somebody holds it. */
  tryAcquire(key: string): Disposable | undefined {
    if (this.#held.has(key)) return undefined;
    this.#held.add(key);
    let released = false;
    return {
      [Symbol.dispose]: () => {
        // A second disposal must not release the lock of whoever took it next.
        if (released) return;
        released = true;
        this.#held.delete(key);
      },
    };
  }
}
