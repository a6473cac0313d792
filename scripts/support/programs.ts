import { TextLineStream } from "./text_line_stream.ts";
import { type Form, programArguments, type ProgramName } from "../permissions.ts";

/** One line of a program's log, as JSON. */
export type LogRecord = Readonly<Record<string, unknown>> & { readonly message: string };

/** A program of ours in a process of its own, under the permission flags it ships with. */
export class Program implements AsyncDisposable {
  readonly name: ProgramName;
  readonly #process: Deno.ChildProcess;
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #drained: Promise<void>;
  #ended: Deno.CommandStatus | undefined;

  /** `entry`: a file that composes the program for a test, run with all permissions. */
  constructor(
    name: ProgramName,
    form: Form,
    env: Record<string, string>,
    args: string[] = [],
    entry?: string,
  ) {
    this.name = name;
    const program = entry === undefined
      ? programArguments(name, form)
      : ["run", "--quiet", "--allow-all", entry];
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [...program, ...args],
      env: { ...inherited(), LOG_FORMAT: "json", NO_COLOR: "1", ...env },
      clearEnv: true,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#drained = Promise.all([
      this.#read(this.#process.stdout),
      this.#read(this.#process.stderr),
    ]).then(() => {});
    // The end of its output may arrive after it has ended.
    this.ended().then((status) => {
      this.#ended = status;
      this.#wake();
    });
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Everything it wrote so far. */
  get output(): string {
    return this.#lines.join("\n");
  }

  /** The last lines it wrote, for a failure report. */
  tail(lines = 15): string {
    return this.#lines.slice(-lines).join("\n");
  }

  /** The first log record from `from` on that the test accepts; rejects when the program ends first. */
  async logged(accepts: (record: LogRecord) => boolean, from = 0): Promise<LogRecord> {
    for (let index = from;; index++) {
      while (index >= this.#lines.length) {
        if (this.#ended) {
          throw new Error(`${this.name} ended with code ${this.#ended.code}:\n${this.tail()}`);
        }
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
      const record = parse(this.#lines[index] ?? "");
      if (record && accepts(record)) return record;
    }
  }

  /** How many lines it wrote: a place to look from with `logged`. */
  get position(): number {
    return this.#lines.length;
  }

  /** Where it serves, once it does. */
  async ready(): Promise<{ address: string; attestationAddress: string; healthAddress: string }> {
    const record = await this.logged(({ event }) => event === "ready");
    const text = (name: string) => String(record[name]);
    return {
      address: text("address"),
      attestationAddress: text("attestationAddress"),
      healthAddress: text("healthAddress"),
    };
  }

  /** Sends a signal without waiting; returns whether the program still runs. */
  signal(signal: Deno.Signal): boolean {
    try {
      this.#process.kill(signal);
      return true;
    } catch (error) {
      // It has terminated already, whether or not its status has been reported yet.
      if (error instanceof TypeError) return false;
      throw error;
    }
  }

  /** Sends a signal and waits for the end. */
  async stop(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    this.signal(signal);
    return await this.ended();
  }

  async ended(): Promise<Deno.CommandStatus> {
    const status = await this.#process.status;
    await this.#drained;
    return status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const line of stream.pipeThrough(new TextLineStream())) {
      this.#lines.push(line);
      this.#wake();
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Only what the runtime itself needs: nothing of the caller's environment configures a program. */
function inherited(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "DENO_NO_UPDATE_CHECK"];
  return Object.fromEntries(names.flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

function parse(line: string): LogRecord | undefined {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
