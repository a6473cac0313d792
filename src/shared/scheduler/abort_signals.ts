import type { Clock } from "./clock.ts";

/** Resolves when the signal is aborted. */
export function waitUntilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) =>
    signal.addEventListener("abort", () => resolve(), { once: true })
  );
}

/** Calls back when the signal is aborted, at once if it is already, until disposed. */
export function onAbort(signal: AbortSignal, callback: () => void): Disposable {
  if (signal.aborted) callback();
  else signal.addEventListener("abort", callback, { once: true });
  return { [Symbol.dispose]: () => signal.removeEventListener("abort", callback) };
}

/** Resolves after so many milliseconds, or when the signal is aborted if that is earlier. */
export async function pause(
  clock: Pick<Clock, "after">,
  ms: number,
  signal: AbortSignal,
): Promise<void> {
  const elapsed = Promise.withResolvers<void>();
  using _timer = clock.after(ms, elapsed.resolve);
  await abortable(elapsed.promise, signal).catch(() => {});
}

/** The promise's outcome, or a rejection with the signal's reason if the abort is earlier. */
export function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    // Also after an abort: a rejection that no code awaits would end the program.
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
