import type { Logger } from "@logtape/logtape";
import type { Clock } from "../scheduler/clock.ts";
import type { Metrics } from "./metrics.ts";
import { toJsonValue } from "./plain_value.ts";

/** A fault that a client can repeat at will must not fill the disk with its lines. */
const shortestLogIntervalMs = 1_000;
const mostCharacters = 1_024;
const mostFrames = 8;

/**
 * Keeps the program alive, until disposed, when a promise rejects and no code handles it, or when a
 * timer or an event listener throws: counts each as `unhandled_errors_total` and logs at most one a
 * second. It is the last resort: one such fault must not stop the certificates of all pods, and each is
 * a bug that the log shows.
 */
export function surviveUnhandledErrors(
  logger: Logger,
  metrics: Metrics,
  clock: Pick<Clock, "now">,
): Disposable {
  const counter = metrics.counter(
    "unhandled_errors_total",
    "Errors that no code handled, by kind: faults of the program.",
  );
  for (const kind of ["rejection", "exception"]) counter.add(0, { kind });
  let lastLoggedMs = -Infinity;
  let unlogged = 0;
  const report = (kind: "rejection" | "exception", error: unknown) => {
    counter.add(1, { kind });
    const nowMs = clock.now().epochMilliseconds;
    // A wall clock that was set back does not silence the log.
    const sinceMs = Math.abs(nowMs - lastLoggedMs);
    if (sinceMs < shortestLogIntervalMs) return void unlogged++;
    lastLoggedMs = nowMs;
    logger.error("unhandled {kind}: {reason}; this is a fault of the program, which continues", {
      kind,
      reason: textOf(error),
      frames: framesOf(error),
      ...(unlogged > 0 ? { unlogged } : {}),
    });
    unlogged = 0;
  };
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    report("rejection", event.reason);
  };
  const onError = (event: ErrorEvent) => {
    event.preventDefault();
    report("exception", event.error);
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  globalThis.addEventListener("error", onError);
  return {
    [Symbol.dispose]: () => {
      globalThis.removeEventListener("unhandledrejection", onRejection);
      globalThis.removeEventListener("error", onError);
    },
  };
}

/** The error with its causes; redacted before it is cut, because half a token looks like none. */
function textOf(error: unknown): string {
  const plain = toJsonValue(error);
  const text = typeof plain === "string" ? plain : JSON.stringify(plain) ?? "undefined";
  return text.length > mostCharacters ? `${text.slice(0, mostCharacters)}…` : text;
}

/** Where it was thrown; only the lines of places, because the message is above them. */
function framesOf(error: unknown): string[] {
  try {
    const stack = error instanceof Error ? error.stack ?? "" : "";
    return stack.split("\n").filter((line) => /^ {4}at \S/.test(line))
      .slice(0, mostFrames).map((line) => line.trim().slice(0, 200));
  } catch {
    return [];
  }
}
