import { onAbort } from "../../shared/scheduler/abort_signals.ts";

/** The bytes of an answer; destroying it closes its connection. */
export interface AnswerBody extends AsyncIterable<Uint8Array> {
  destroy(): unknown;
}

/** An object of Kubernetes has at most 1.5 MiB in etcd; a longer line is not an event. */
const maxLineCharacters = 4 * 1024 * 1024;

/**
 * The lines of a UTF-8 text as they arrive, until it ends or the signal is aborted; text after the last
 * line end is dropped. Throws for a line that is too long, and the signal's reason.
 */
export async function* readLines(
  body: AnswerBody,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of chunksOf(body, signal)) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > maxLineCharacters) throw new Error("a line of the watch is too long");
    yield* lines;
  }
}

/** All bytes of a body; undefined, and the rest is not read, when it is longer. */
export async function readAtMost(
  body: AnswerBody,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunksOf(body, signal)) {
    length += chunk.length;
    if (length > maxBytes) return undefined;
    chunks.push(chunk);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Closes the connection when the signal is aborted, and when the iteration ends before the body. */
async function* chunksOf(body: AnswerBody, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  using _aborted = onAbort(signal, () => body.destroy());
  try {
    for await (const chunk of body) {
      signal.throwIfAborted();
      yield chunk;
    }
  } finally {
    // A body that was destroyed ends or throws; the caller receives the signal's reason.
    signal.throwIfAborted();
  }
}
