import { getLogger } from "@logtape/logtape";
import type { Clock } from "../../shared/scheduler/clock.ts";
import { Listeners } from "../../shared/scheduler/listeners.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { longer } from "../../shared/text/durations.ts";
import type { Policy } from "../policy/policy.ts";
import { parsePolicyFile } from "../policy/policy_file.ts";
import { type TextFile, watchTextFile } from "../documents/watched_file.ts";

export interface CurrentPolicyOptions {
  /** What applies without any rule. */
  readonly base: Omit<Policy, "rules">;
  /** Absent, there are no rules. */
  readonly file?: TextFile | undefined;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
}

const logger = getLogger(["cert-service", "policy"]);

/** The policy in use. Its file is read again every 10 s; a file with problems is not used. */
export class CurrentPolicy implements AsyncDisposable {
  readonly #options: CurrentPolicyOptions;
  #policy: Policy;
  #problem: string | undefined;
  readonly #listeners = new Listeners();
  #watching: AsyncDisposable | undefined;

  private constructor(options: CurrentPolicyOptions, policy: Policy) {
    this.#options = options;
    this.#policy = policy;
  }

  /** Rejects, with every problem and its line, when the first file has problems. */
  static async open(options: CurrentPolicyOptions): Promise<CurrentPolicy> {
    const { base, file, scheduler, clock } = options;
    if (file === undefined) return new CurrentPolicy(options, { ...base, rules: [] });
    const text = await file.read();
    const parsed = parsePolicyFile(text, base);
    if (parsed.kind === "refused") throw new Error(`${file.name}: ${parsed.problems.join("; ")}`);
    const opened = new CurrentPolicy(options, { ...base, rules: parsed.rules });
    opened.#watching = watchTextFile({
      key: "policy-file",
      scheduler,
      clock,
      read: file.read,
      first: text,
      onChange: (text) => opened.#change(text),
      onError: (problem) => opened.#reject(problem),
    });
    return opened;
  }

  get policy(): Policy {
    return this.#policy;
  }

  /** Why the newest file is not used. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** The longest validity that any pod can get. */
  get longestValidity(): Temporal.Duration {
    return this.#policy.rules.flatMap(({ maxValidity }) => maxValidity ?? [])
      .reduce(longer, this.#policy.maxValidity);
  }

  /** Calls back after each change, until disposed. */
  onChange(listener: () => void): Disposable {
    return this.#listeners.add(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#watching?.[Symbol.asyncDispose]();
  }

  #change(text: string): Promise<void> {
    const parsed = parsePolicyFile(text, this.#options.base);
    if (parsed.kind === "refused") this.#reject(parsed.problems.join("; "));
    else {
      this.#problem = undefined;
      this.#policy = { ...this.#options.base, rules: parsed.rules };
      logger.info("the policy has changed: {count} rules", { count: parsed.rules.length });
      this.#listeners.call();
    }
    return Promise.resolve();
  }

  #reject(problem: string): void {
    this.#problem = problem;
    logger.error("the new policy cannot be used, the previous one remains in use: {problem}", {
      problem,
    });
  }
}
