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

/** One moment, on the wall clock and as a time since the machine booted. */
export interface Moment {
  readonly wall: Temporal.Instant;
  /** The milliseconds since boot, those of a suspend included; they never step. */
  readonly bootMs: number;
  /** Identifies the boot from which `bootMs` counts. */
  readonly bootId: string;
}

/** A Clock that also measures the time since the machine booted. */
export interface BootClock extends Clock {
  moment(): Moment;
}
