import { onAbort } from "./abort_signals.ts";

/** Functions that are called back after each change. */
export class Listeners {
  readonly #listeners = new Set<() => void>();

  /** Calls back until disposed. A function that is added twice is called twice, and each result removes one. */
  add(listener: () => void): Disposable {
    const own = () => listener();
    this.#listeners.add(own);
    return { [Symbol.dispose]: () => void this.#listeners.delete(own) };
  }

  /** Calls the functions that were there when the call began. */
  call(): void {
    for (const listener of [...this.#listeners]) listener();
  }
}

/**
 * Yields at once, and again after each change, until the signal is aborted. Changes that come faster than
 * the caller takes them are one, so the caller reads the latest state each time.
 */
export async function* changes(
  onChange: (listener: () => void) => Disposable,
  signal: AbortSignal,
): AsyncGenerator<void> {
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  using _listener = onChange(wake);
  using _aborted = onAbort(signal, wake);
  while (!signal.aborted) {
    yield;
    await changed.promise;
    changed = Promise.withResolvers();
  }
}
