import type { Clock } from "./clock.ts";

/** A longer setTimeout fires at once, because its delay is kept in 32 signed bits. */
const longestTimeoutMs = 2 ** 31 - 1;

/** The machine's clock; its timers keep the program alive. */
export const systemClock: Clock = {
  now: () => Temporal.Now.instant(),
  after: (ms, callback) => ms <= 0 ? nextIteration(callback) : timeout(ms, callback),
};

/** Calls back in the next iteration of the event loop; a timeout of zero would take a millisecond or two. */
function nextIteration(callback: () => void): Disposable {
  const immediate = setImmediate(callback);
  return { [Symbol.dispose]: () => clearImmediate(immediate) };
}

function timeout(ms: number, callback: () => void): Disposable {
  let timer: ReturnType<typeof setTimeout>;
  const wait = (remainingMs: number) => {
    const partMs = Math.min(remainingMs, longestTimeoutMs);
    const next = partMs < remainingMs ? () => wait(remainingMs - partMs) : callback;
    timer = setTimeout(next, partMs);
  };
  wait(ms);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
