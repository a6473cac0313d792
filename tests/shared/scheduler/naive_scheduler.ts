/** What a simulated job does: how long it runs, whether it observes its signal, and how each run ends. */
export interface Plan {
  readonly id: number;
  readonly durationMs: number;
  readonly obedient: boolean;
  /** One for each run: a wait until the next, or a failure; after the last no run follows. */
  readonly endings: readonly (number | "throw")[];
}

export interface Event {
  readonly atMs: number;
  readonly key: string;
  readonly plan: number;
  readonly what: "start" | "end";
}

interface Scheduled {
  readonly plan: Plan;
  dueMs: number;
  runs: number;
  failures: number;
}

interface State {
  scheduled: Scheduled | undefined;
  run: { readonly scheduled: Scheduled; endMs: number } | undefined;
}

/** The scheduler's rules without a heap, a timer, a promise or a bound: what the real one is compared with. */
export class NaiveScheduler {
  readonly events: Event[] = [];
  readonly #keys = new Map<string, State>();
  #nowMs: number;

  constructor(nowMs: number) {
    this.#nowMs = nowMs;
  }

  get size(): number {
    return [...this.#keys.values()].filter(({ scheduled }) => scheduled !== undefined).length;
  }

  get running(): number {
    return [...this.#keys.values()].filter(({ run }) => run !== undefined).length;
  }

  nextRunMs(key: string): number | undefined {
    return this.#keys.get(key)?.scheduled?.dueMs;
  }

  schedule(key: string, dueMs: number, plan: Plan): void {
    const run = this.#keys.get(key)?.run;
    this.#keys.set(key, { scheduled: { plan, dueMs, runs: 0, failures: 0 }, run });
    this.#abort(key);
  }

  cancel(key: string): void {
    const run = this.#keys.get(key)?.run;
    this.#keys.set(key, { scheduled: undefined, run });
    this.#abort(key);
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (const [key, state] of this.#keys) this.#play(key, state, endMs);
    this.#nowMs = endMs;
  }

  #abort(key: string): void {
    const run = this.#keys.get(key)?.run;
    if (run?.scheduled.plan.obedient) run.endMs = this.#nowMs;
  }

  /** The keys are independent. */
  #play(key: string, state: State, endMs: number): void {
    for (let nowMs = this.#nowMs;;) {
      const { run, scheduled } = state;
      if (run !== undefined) {
        if (run.endMs > endMs) return;
        nowMs = run.endMs;
        this.events.push({ atMs: nowMs, key, plan: run.scheduled.plan.id, what: "end" });
        state.run = undefined;
        if (scheduled === run.scheduled) state.scheduled = rescheduled(scheduled, nowMs);
      } else if (scheduled !== undefined) {
        if (scheduled.dueMs > endMs) return;
        nowMs = Math.max(nowMs, scheduled.dueMs);
        this.events.push({ atMs: nowMs, key, plan: scheduled.plan.id, what: "start" });
        state.run = { scheduled, endMs: nowMs + scheduled.plan.durationMs };
      } else return;
    }
  }
}

/** As the real scheduler with `random` at one half. */
function rescheduled(scheduled: Scheduled, nowMs: number): Scheduled | undefined {
  const ending = scheduled.plan.endings[scheduled.runs++];
  if (ending === undefined) return undefined;
  scheduled.failures = ending === "throw" ? scheduled.failures + 1 : 0;
  const waitMs = ending === "throw"
    ? Math.min(300_000, 1_000 * 2 ** (scheduled.failures - 1)) / 2
    : ending;
  scheduled.dueMs = nowMs + waitMs;
  return scheduled;
}
