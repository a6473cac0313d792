/** An object of Kubernetes has at most 1.5 MiB in etcd; a line that grows on is no event. */
const longestLine = 4 * 1024 * 1024;

/** The lines of a UTF-8 text as they come; what follows the last line end is dropped. Throws for one without end. */
export async function* linesOf(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of body) {
    pending += decoder.decode(chunk, { stream: true });
    const lines = pending.split("\n");
    pending = lines.pop() ?? "";
    if (pending.length > longestLine) throw new Error("a line of the watch has no end");
    yield* lines;
  }
}
