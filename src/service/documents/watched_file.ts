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

/** A watch of a text, until it is disposed. */
export interface TextWatch extends AsyncDisposable {
  /** Reads the text now, and calls `onChange` also where it is the same as before. */
  readAgain(): void;
}

/**
 * Reads a text again every 10 s until disposed. A text counts as read when `onChange` has resolved: one
 * for which it rejected is handled again after the next 10 s.
 */
export function watchTextFile(options: TextWatchOptions): TextWatch {
  const { key, scheduler, clock } = options;
  /** Undefined: the next text that can be read is handled, even when it is the same as before. */
  let known = options.first;
  let isRequested = false;
  let lastProblem: string | undefined;
  let isDisposed = false;
  const read = async () => {
    try {
      const text = await options.read();
      if (text !== known || isRequested) {
        isRequested = false;
        known = undefined;
        await options.onChange(text);
        known = text;
      }
      lastProblem = undefined;
    } catch (error) {
      const problem = errorMessage(error);
      if (problem !== lastProblem) options.onError(problem);
      lastProblem = problem;
      known = undefined;
    }
    return clock.now().add(interval);
  };
  scheduler.schedule(key, clock.now().add(interval), read);
  return {
    readAgain: () => {
      if (isDisposed) return;
      isRequested = true;
      scheduler.schedule(key, clock.now(), read);
    },
    [Symbol.asyncDispose]: () => {
      isDisposed = true;
      return scheduler.cancel(key);
    },
  };
}
