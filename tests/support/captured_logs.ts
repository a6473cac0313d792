import { configure, type LogRecord, reset } from "@logtape/logtape";

/** What the program logs, in place of standard error. */
export interface CapturedLogs extends AsyncDisposable {
  /** Grows as records are logged. */
  readonly records: readonly LogRecord[];
}

/** Captures what these categories and those below them log, at every level, until disposed. */
export async function captureLogs(...categories: string[][]): Promise<CapturedLogs> {
  const records: LogRecord[] = [];
  await configure({
    reset: true,
    sinks: { list: (record) => void records.push(record) },
    loggers: [
      ...categories.map((category) => ({
        category,
        sinks: ["list"],
        lowestLevel: "trace" as const,
      })),
      { category: ["logtape", "meta"], sinks: [], lowestLevel: "error" },
    ],
  });
  return { records, [Symbol.asyncDispose]: () => reset() };
}
