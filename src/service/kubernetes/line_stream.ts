/** An object of Kubernetes has at most 1.5 MiB in etcd; a line that grows on is no event. */
const longestLine = 4 * 1024 * 1024;

/**
 * The lines of a UTF-8 text as they come, until it ends or the signal is aborted; what follows the
 * last line end is dropped. Throws for a line without end, and the signal's reason.
 */
export async function* readLines(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of chunksOf(body, signal)) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > longestLine) throw new Error("a line of the watch has no end");
    yield* lines;
  }
}

/**
 * Cancels the body itself when the signal is aborted: that fetch was given the signal is not enough,
 * since Deno 2.9.6 forgets it once garbage was collected while the body is read.
 */
async function* chunksOf(
  body: ReadableStream<Uint8Array>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  const reader = body.getReader();
  const cancel = () => void reader.cancel(signal.reason).catch(() => {});
  if (signal.aborted) cancel();
  signal.addEventListener("abort", cancel);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) return;
      yield value;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    // A reader that leaves early closes the connection.
    cancel();
  }
}
