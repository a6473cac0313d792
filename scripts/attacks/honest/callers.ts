import {
  type HonestOrder,
  type HonestPlan,
  type HonestSamples,
  type HonestSummary,
  summarizeSamples,
} from "./calls.ts";

/** The worker of honest callers, from the suite's side. */
export class HonestCallers implements Disposable {
  readonly #worker: Worker;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Resolves when the callers have begun. */
  static async start(plan: HonestPlan): Promise<HonestCallers> {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    const callers = new HonestCallers(worker);
    await callers.#answer();
    callers.#order({ kind: "start", plan });
    return callers;
  }

  /** What happened since the last collection. */
  async collect(): Promise<HonestSummary> {
    const answered = this.#answer();
    this.#order({ kind: "collect" });
    return summarizeSamples(await answered as HonestSamples);
  }

  #order(order: HonestOrder): void {
    this.#worker.postMessage(order);
  }

  async #answer(): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    this.#worker.addEventListener("message", ({ data }) => resolve(data), { once: true });
    return await promise;
  }

  [Symbol.dispose](): void {
    this.#order({ kind: "stop" });
    this.#worker.terminate();
  }
}
