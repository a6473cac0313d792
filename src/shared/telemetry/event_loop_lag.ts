import type { Clock } from "../scheduler/clock.ts";
import type { Metrics } from "./metrics.ts";

/** While there is work: twenty measurements a second detect most delays. */
const busyMs = 50;
/** Without work: frequent measurements would take most of a percent of a processor. */
const idleMs = 1_000;
/** How long after the last report of activity the program counts as busy. */
const workMs = 1_000;
const buckets = [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10];

export interface EventLoopLag extends Disposable {
  /** Reports work: for the next second the lag is measured often. */
  reportActivity(): void;
}

/**
 * Measures, until disposed, how late the event loop runs a timer that is due: for as long as the program,
 * or the machine, is busy with something else.
 */
export function observeEventLoopLag(
  metrics: Metrics,
  clock: Pick<Clock, "after">,
  /** Milliseconds that no step of the wall clock changes. */
  monotonicMs: () => number = () => performance.now(),
): EventLoopLag {
  const seconds = metrics.histogram(
    "event_loop_lag_seconds",
    "How late the event loop came to what was due.",
    buckets,
  );
  let workUntil = monotonicMs() + workMs;
  let isIdle: boolean;
  let due: number;
  let timer: Disposable;
  const wait = () => {
    const now = monotonicMs();
    isIdle = now >= workUntil;
    const ms = isIdle ? idleMs : busyMs;
    due = now + ms;
    timer = clock.after(ms, measure);
  };
  const measure = () => {
    seconds.observe(Math.max(0, monotonicMs() - due) / 1000);
    wait();
  };
  wait();
  return {
    reportActivity: () => {
      const now = monotonicMs();
      workUntil = now + workMs;
      if (!isIdle) return;
      timer[Symbol.dispose]();
      // An overdue measurement is made now; one that is not due yet would show nothing.
      if (now >= due) measure();
      else wait();
    },
    [Symbol.dispose]: () => timer[Symbol.dispose](),
  };
}
