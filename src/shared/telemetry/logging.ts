/**
 * This folder writes logs, from which secrets are redacted, counts metrics, and serves both
 * programs' health endpoint. Its main functions are `configureLogging` and `serveHealth`; its main
 * type is `Metrics`. It never declares a metric that only one program has.
 */

import { configure, type LogLevel, type LogRecord, reset } from "@logtape/logtape";
import { gatherLines } from "./gathered_lines.ts";
import { formatJsonLine, formatTextLine } from "./log_line.ts";

/** What is logged, how, and for which program. */
export interface LoggingOptions {
  /** `text` for people, `json` for one object a line. */
  readonly format: "text" | "json";
  /** Less important records are dropped. */
  readonly level: LogLevel;
  /** The name that begins every logger's. */
  readonly program: string;
  /** Takes each line, without its end. Unless given, they go to standard error, gathered. */
  readonly write?: (line: string) => void;
}

/**
 * States to LogTape that a sink is done with a record when it returns, so that LogTape does not
 * copy the record. LogTape's own mark for its own sinks: without it a line is the same and costs more.
 */
const readsAtOnce = Symbol.for("LogTape.sinkSnapshotPolicy.immediate");

/**
 * Lets every logger write lines, one a record, secrets redacted, until disposed. Rejects with
 * LogTape's ConfigError while another configuration is in force.
 */
export async function configureLogging(options: LoggingOptions): Promise<AsyncDisposable> {
  const { format, level, program, write = onStandardError.add } = options;
  const line = format === "json" ? formatJsonLine : formatTextLine;
  const lines = (record: LogRecord) => {
    write(line(record, program));
    if (atOnce.has(record.level)) onStandardError.flush();
  };
  await configure({
    sinks: { lines: Object.assign(lines, { [readsAtOnce]: true }) },
    loggers: [
      { category: [], sinks: ["lines"], lowestLevel: level },
      // LogTape's own: silent while all is well.
      {
        category: ["logtape", "meta"],
        sinks: ["lines"],
        lowestLevel: "warning",
        parentSinks: "override",
      },
    ],
  });
  for (const end of ends) globalThis.addEventListener(end, onStandardError.flush);
  return {
    [Symbol.asyncDispose]: async () => {
      await reset();
      for (const end of ends) globalThis.removeEventListener(end, onStandardError.flush);
      onStandardError.flush();
    },
  };
}

/** Levels of records that may be the last before the program ends, whatever ends it. */
const atOnce: ReadonlySet<LogLevel> = new Set(["error", "fatal"]);

/** An exit, and an error that was not caught: no microtask runs after them. */
const ends = ["unload", "error"];

const encoder = new TextEncoder();

const onStandardError = gatherLines((lines) => {
  try {
    let rest = encoder.encode(lines);
    while (rest.length > 0) rest = rest.subarray(Deno.stderr.writeSync(rest));
  } catch {
    // The reader is gone: no reason to stop, and no place to log it.
  }
});
