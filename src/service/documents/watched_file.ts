import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Scheduler } from "../../shared/scheduler/scheduler.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

/** A file that is read as a whole. */
export interface TextFile {
  /** What messages name: the variable and the path. */
  readonly name: string;
  /** Rejects when it cannot be read. */
  readonly read: () => Promise<string>;
}

/** A text that the kubelet or an operator changes, and the functions to call then. */
export interface TextWatchOptions {
  /** The scheduler's key of the job that reads. */
  readonly key: string;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  /** Rejects when it cannot be read. */
  readonly read: () => Promise<string>;
  /** What was read before. */
  readonly first: string | undefined;
  /** Called once for each text that differs from the one before. */
  readonly onChange: (text: string) => Promise<void>;
  /** Called once for each new problem of reading. */
  readonly onError: (problem: string) => void;
}

/**
 * The kubelet needs up to two minutes to change a mounted file. Contents are compared, not time
 * stamps, since a mounted Secret is a chain of links.
 */
const interval = { seconds: 10 };

/** Reads a text again every 10 s until disposed. */
export function watchTextFile(options: TextWatchOptions): AsyncDisposable {
  const { key, scheduler, clock } = options;
  let known = options.first;
  let lastProblem: string | undefined;
  scheduler.schedule(key, clock.now().add(interval), async () => {
    try {
      const text = await options.read();
      lastProblem = undefined;
      if (text !== known) {
        known = text;
        await options.onChange(text);
      }
    } catch (error) {
      const problem = errorMessage(error);
      if (problem !== lastProblem) options.onError(problem);
      lastProblem = problem;
      // The next text that can be read ends the problem, even when it is the same as before.
      known = undefined;
    }
    return clock.now().add(interval);
  });
  return { [Symbol.asyncDispose]: () => scheduler.cancel(key) };
}
