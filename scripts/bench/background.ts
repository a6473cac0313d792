/** A process that runs while something else is measured. It writes to a file, so that nothing has to read a pipe meanwhile. */
export class Background implements AsyncDisposable {
  readonly log: string;
  readonly #process: Deno.ChildProcess;

  private constructor(process: Deno.ChildProcess, log: string) {
    this.#process = process;
    this.log = log;
  }

  /** Starts a command; resolves when `ready` finds what it looks for in what was written so far. */
  static async start<T>(
    command: readonly string[],
    options: {
      directory: string;
      env?: Record<string, string>;
      ready: (output: string) => Promise<T | undefined> | T | undefined;
    },
  ): Promise<{ process: Background; found: T }> {
    const log = `${options.directory}/${crypto.randomUUID()}.log`;
    const [first = "", ...rest] = command;
    const process = new Deno.Command("sh", {
      args: ["-c", 'log=$1; shift; exec "$@" >"$log" 2>&1', "sh", log, first, ...rest],
      env: { LOG_FORMAT: "json", NO_COLOR: "1", ...options.env },
      stdin: "null",
    }).spawn();
    const background = new Background(process, log);
    let ended = false;
    process.status.then(() => ended = true);
    for (;;) {
      const output = await Deno.readTextFile(log).catch(() => "");
      const found = await options.ready(output);
      if (found !== undefined) return { process: background, found };
      if (ended) throw new Error(`${first} ${rest.at(-1)} ended:\n${output.slice(-2_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Resident memory in bytes. */
  async residentBytes(): Promise<number> {
    return (await statusOf(this.pid)) * 1024;
  }

  /** Processor time used so far, in milliseconds. */
  async processorMs(): Promise<number> {
    const text = await Deno.readTextFile(`/proc/${this.pid}/stat`);
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ").map(Number);
    // In ticks of 10 ms: user and system time are the 14th and 15th field of the whole line.
    return ((fields[11] ?? 0) + (fields[12] ?? 0)) * 10;
  }

  async stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    try {
      this.#process.kill(signal);
    } catch {
      // It has already ended.
    }
    await this.#process.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGKILL");
  }
}

async function statusOf(pid: number): Promise<number> {
  const text = await Deno.readTextFile(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+([0-9]+) kB/m.exec(text)?.[1]);
}

/** The first line of a log of ours that announces an event. */
export function announced(output: string, event: string): Record<string, unknown> | undefined {
  for (const line of output.split("\n")) {
    if (!line.includes(`"${event}"`)) continue;
    try {
      const record = JSON.parse(line);
      if (record.event === event) return record;
    } catch {
      // Not written to its end yet.
    }
  }
}
