import type { Clock } from "../scheduler/clock.ts";
import type { Metrics } from "./metrics.ts";

/** Twenty looks a second cost an idle program nothing that shows, and meet most of what lasts. */
const intervalMs = 50;
const buckets = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10];

/**
 * Observes how long what is due has to wait for the event loop, until disposed: the remainder of
 * whatever the program, or the machine, was busy with just then.
 */
export function observeEventLoopLag(
  metrics: Metrics,
  clock: Pick<Clock, "after">,
  /** Milliseconds that no step of the wall clock changes. */
  monotonicMs: () => number = () => performance.now(),
): Disposable {
  const seconds = metrics.histogram(
    "event_loop_lag_seconds",
    "How late the event loop came to what was due.",
    buckets,
  );
  let timer: Disposable;
  const look = () => {
    const due = monotonicMs() + intervalMs;
    timer = clock.after(intervalMs, () => {
      seconds.observe(Math.max(0, monotonicMs() - due) / 1000);
      look();
    });
  };
  look();
  return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
}
