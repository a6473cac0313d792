/** How long a group may take to end after a signal before it is ended by force. */
const graceMs = 5_000;

/**
 * Runs a command in a process group of its own, showing what it writes, and returns that with its
 * success. When it has ended, so has everything it started. A SIGINT, SIGTERM or SIGHUP to this
 * program is sent to the whole group, and then this program ends with 128 + the signal's number.
 */
export async function runGroup(
  [program = "", ...args]: readonly string[],
  cwd: URL,
): Promise<{ success: boolean; output: string }> {
  const child = new Deno.Command(program, {
    args: [...args],
    cwd,
    detached: true,
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let interruption: keyof typeof exitCodes | undefined;
  let force: ReturnType<typeof setTimeout> | undefined;
  using _listening = onSignals((signal) => {
    interruption = signal;
    signalGroup(child.pid, signal);
    force ??= setTimeout(() => signalGroup(child.pid, "SIGKILL"), graceMs);
  });
  const shown = show(child.stdout);
  const { success } = await child.status;
  clearTimeout(force);
  // A remaining process would keep the pipe open and outlive this program.
  signalGroup(child.pid, "SIGKILL");
  const output = await shown;
  if (interruption !== undefined) Deno.exit(exitCodes[interruption]);
  return { success, output };
}

const exitCodes = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

function onSignals(listener: (signal: keyof typeof exitCodes) => void): Disposable {
  const listeners = (Object.keys(exitCodes) as (keyof typeof exitCodes)[])
    .map((signal) => ({ signal, listener: () => listener(signal) }));
  for (const { signal, listener } of listeners) Deno.addSignalListener(signal, listener);
  return {
    [Symbol.dispose]() {
      for (const { signal, listener } of listeners) Deno.removeSignalListener(signal, listener);
    },
  };
}

function signalGroup(leader: number, signal: Deno.Signal): void {
  try {
    Deno.kill(-leader, signal);
  } catch (error) {
    // ESRCH: no process is left in the group.
    if (!(error instanceof Deno.errors.NotFound) && !/ESRCH/.test(String(error))) throw error;
  }
}

/** Copies a stream to stdout as it arrives; returns all of it as text. */
async function show(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const bytes of stream) {
    text += decoder.decode(bytes, { stream: true });
    for (let rest = bytes; rest.length > 0;) {
      rest = rest.subarray(await Deno.stdout.write(rest));
    }
  }
  return text + decoder.decode();
}
