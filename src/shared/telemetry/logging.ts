/**
 * This folder writes logs, from which secrets are redacted, counts metrics, and serves both
 * programs' health endpoint. Its main functions are `configureLogging` and `serveHealth`; its main
 * type is `Metrics`. It never declares a metric that only one program has.
 */

import { configure, type LogLevel, type LogRecord, reset } from "@logtape/logtape";
import { formatJsonLine, formatTextLine } from "./log_line.ts";

/** What is logged, how, and for which program. */
export interface LoggingOptions {
  /** `text` for people, `json` for one object a line. */
  readonly format: "text" | "json";
  /** Less important records are dropped. */
  readonly level: LogLevel;
  /** The name that begins every logger's. */
  readonly program: string;
  /** Takes each line, without its end. Unless given, they go to standard error. */
  readonly write?: (line: string) => void;
}

/**
 * Lets every logger write lines, one a record, secrets redacted, until disposed. Rejects with
 * LogTape's ConfigError while another configuration is in force.
 */
export async function configureLogging(options: LoggingOptions): Promise<AsyncDisposable> {
  const { format, level, program, write = writeToStandardError } = options;
  const line = format === "json" ? formatJsonLine : formatTextLine;
  const lines = (record: LogRecord) => write(line(record, program));
  await configure({
    sinks: { lines },
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
  return { [Symbol.asyncDispose]: reset };
}

const encoder = new TextEncoder();

/** Writes each line at once, so that the last lines are not lost when the program ends. */
function writeToStandardError(line: string): void {
  try {
    let rest = encoder.encode(`${line}\n`);
    while (rest.length > 0) rest = rest.subarray(Deno.stderr.writeSync(rest));
  } catch {
    // The reader has closed the pipe, or it is full and non-blocking: the line is lost, the program continues.
  }
}
