/** What a simulated job does: how long it runs, whether it heeds its signal, and how each run ends. */
export interface Plan {
  readonly id: number;
  readonly durationMs: number;
  readonly obedient: boolean;
  /** Of one run after the other: a wait until the next, or a failure; after the last: never again. */
  readonly endings: readonly (number | "throw")[];
}

export interface Event {
  readonly atMs: number;
  readonly key: string;
  readonly plan: number;
  readonly what: "start" | "end";
}

interface Wish {
  readonly plan: Plan;
  dueMs: number;
  runs: number;
  failures: number;
}

interface State {
  wish: Wish | undefined;
  run: { readonly wish: Wish; endMs: number } | undefined;
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
    return [...this.#keys.values()].filter(({ wish }) => wish !== undefined).length;
  }

  get running(): number {
    return [...this.#keys.values()].filter(({ run }) => run !== undefined).length;
  }

  nextRunMs(key: string): number | undefined {
    return this.#keys.get(key)?.wish?.dueMs;
  }

  schedule(key: string, dueMs: number, plan: Plan): void {
    const run = this.#keys.get(key)?.run;
    this.#keys.set(key, { wish: { plan, dueMs, runs: 0, failures: 0 }, run });
    this.#abort(key);
  }

  cancel(key: string): void {
    const run = this.#keys.get(key)?.run;
    this.#keys.set(key, { wish: undefined, run });
    this.#abort(key);
  }

  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (const [key, state] of this.#keys) this.#play(key, state, endMs);
    this.#nowMs = endMs;
  }

  #abort(key: string): void {
    const run = this.#keys.get(key)?.run;
    if (run?.wish.plan.obedient) run.endMs = this.#nowMs;
  }

  /** Without a bound on what runs at once, the keys know nothing of each other. */
  #play(key: string, state: State, endMs: number): void {
    for (let nowMs = this.#nowMs;;) {
      const { run, wish } = state;
      if (run !== undefined) {
        if (run.endMs > endMs) return;
        nowMs = run.endMs;
        this.events.push({ atMs: nowMs, key, plan: run.wish.plan.id, what: "end" });
        state.run = undefined;
        if (wish === run.wish) state.wish = afterwards(wish, nowMs);
      } else if (wish !== undefined) {
        if (wish.dueMs > endMs) return;
        nowMs = Math.max(nowMs, wish.dueMs);
        this.events.push({ atMs: nowMs, key, plan: wish.plan.id, what: "start" });
        state.run = { wish, endMs: nowMs + wish.plan.durationMs };
      } else return;
    }
  }
}

/** As the real scheduler with `random` at one half. */
function afterwards(wish: Wish, nowMs: number): Wish | undefined {
  const ending = wish.plan.endings[wish.runs++];
  if (ending === undefined) return undefined;
  wish.failures = ending === "throw" ? wish.failures + 1 : 0;
  const waitMs = ending === "throw"
    ? Math.min(300_000, 1_000 * 2 ** (wish.failures - 1)) / 2
    : ending;
  wish.dueMs = nowMs + waitMs;
  return wish;
}
