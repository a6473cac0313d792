/** Observes from outside how a program bears a storm of calls. */

/** A message from the probe to its worker. */
export type ProbeOrder =
  | { readonly kind: "start"; readonly address: string; readonly everyMs: number }
  | { readonly kind: "stop" };

export interface HealthAnswers {
  /** How long each answer took, failed ones too. */
  readonly answersMs: readonly number[];
  /** Answers that did not arrive within 10 seconds, or were not OK. */
  readonly failures: readonly string[];
}

/**
 * Requests a program's health pages repeatedly, from a thread of its own: the delays of the test's
 * thread, which can be busy for seconds, are not measured as the program's.
 */
export class HealthProbe implements AsyncDisposable {
  readonly #worker = new Worker(import.meta.resolve("./health_probe_worker.ts"), {
    type: "module",
  });
  readonly #answers: Promise<HealthAnswers>;

  constructor(address: string, everyMs = 50) {
    const { promise, resolve, reject } = Promise.withResolvers<HealthAnswers>();
    this.#answers = promise;
    this.#worker.onmessage = ({ data }) => resolve(data);
    this.#worker.onerror = ({ message }) => reject(new Error(message));
    this.#order({ kind: "start", address, everyMs });
  }

  /** Ends the probing, prints a line about it and returns its results. */
  async stop(): Promise<HealthAnswers & { readonly summary: string }> {
    this.#order({ kind: "stop" });
    const answers = await this.#answers;
    const { answersMs } = answers;
    return {
      ...answers,
      summary: `health answered ${answersMs.length} times, ${percentiles(answersMs)}`,
    };
  }

  #order(order: ProbeOrder): void {
    this.#worker.postMessage(order);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#worker.terminate();
    return Promise.resolve();
  }
}

/** How late this process's own timers are. */
export class LagProbe implements Disposable {
  readonly #lagsMs: number[] = [];
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(everyMs = 10) {
    let expected = performance.now() + everyMs;
    this.#timer = setInterval(() => {
      const now = performance.now();
      this.#lagsMs.push(Math.max(0, now - expected));
      expected = now + everyMs;
    }, everyMs);
  }

  get summary(): string {
    return `event loop lag ${percentiles(this.#lagsMs)}`;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** The median, the 99th percentile and the worst. */
export function percentiles(ms: readonly number[]): string {
  const sorted = ms.toSorted((left, right) => left - right);
  const at = (share: number) => (sorted[Math.floor((sorted.length - 1) * share)] ?? 0).toFixed(0);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, worst ${at(1)} ms`;
}

/** A process's resident memory now and at its highest, in MiB. */
export async function residentMemory(pid: number): Promise<{ now: number; highest: number }> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`);
  const mib = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(text)?.[1]) / 1024;
  return { now: mib("VmRSS"), highest: mib("VmHWM") };
}

/** How many file descriptors a process has. */
export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
