/** What a storm does to a program that is looked at from outside. */

/** Asks a program's /livez and /readyz over and over, and keeps how long each answer took. */
export class HealthProbe implements AsyncDisposable {
  readonly #answersMs: number[] = [];
  readonly #failures: string[] = [];
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;

  constructor(address: string, everyMs = 50) {
    this.#done = this.#probe(address, everyMs);
  }

  /** Of answers that did not come within 10 seconds, or were not OK. */
  get failures(): readonly string[] {
    return this.#failures;
  }

  /** As long as the program does something else, it does not answer: the longest answer is its worst lag. */
  get summary(): string {
    return `health answered ${this.#answersMs.length} times, ${percentiles(this.#answersMs)}`;
  }

  get worstMs(): number {
    return Math.max(0, ...this.#answersMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #probe(address: string, everyMs: number): Promise<void> {
    for (
      let path = "livez";
      !this.#stop.signal.aborted;
      path = path === "livez" ? "readyz" : "livez"
    ) {
      const started = performance.now();
      try {
        const answer = await fetch(`http://${address}/${path}`, {
          signal: AbortSignal.timeout(10_000),
        });
        await answer.body?.cancel();
        if (!answer.ok) this.#failures.push(`${path}: ${answer.status}`);
      } catch (error) {
        this.#failures.push(`${path}: ${error}`);
      }
      this.#answersMs.push(performance.now() - started);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
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

  get worstMs(): number {
    return Math.max(0, ...this.#lagsMs);
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

/** How many file descriptors a process holds. */
export function openFiles(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
