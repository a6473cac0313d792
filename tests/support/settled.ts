import type { FakeClock } from "../../scripts/support/fake_clock.ts";

/** The result of work that waits for timers which are due at once; the time stands still. */
export async function settled<T>(clock: FakeClock, work: Promise<T>): Promise<T> {
  let isSettled = false;
  const settle = () => void (isSettled = true);
  work.then(settle, settle);
  await clock.until(() => isSettled);
  return await work;
}
