/** The wall clock and a timer. All code receives its time from a Clock, so that tests can control it. */
export interface Clock {
  /** The wall clock's instant; it may step in both directions. */
  now(): Temporal.Instant;
  /**
   * Calls back once, `ms` milliseconds from now and never within this call, unless disposed first.
   * Steps of the wall clock do not change the wait.
   */
  after(ms: number, callback: () => void): Disposable;
}
