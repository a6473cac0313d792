/** Locks by name that are acquired at once or not at all: there is no queue. */
export class KeyedLock {
  readonly #locked = new Set<string>();

  /** The lock, released by disposing it; undefined while another caller has it. */
  tryAcquire(key: string): Disposable | undefined {
    if (this.#locked.has(key)) return undefined;
    this.#locked.add(key);
    let released = false;
    return {
      [Symbol.dispose]: () => {
        // A second disposal must not release the lock of the next caller.
        if (released) return;
        released = true;
        this.#locked.delete(key);
      },
    };
  }
}
