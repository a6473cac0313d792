/** Locks by name that are acquired at once or not at all: there is no queue. */
export class KeyedLock {
  readonly #held = new Set<string>();

  /** The lock, released by disposing it; undefined while it is held. */
  tryAcquire(key: string): Disposable | undefined {
    if (this.#held.has(key)) return undefined;
    this.#held.add(key);
    let released = false;
    return {
      [Symbol.dispose]: () => {
        // A second disposal must not release the lock of its next holder.
        if (released) return;
        released = true;
        this.#held.delete(key);
      },
    };
  }
}
