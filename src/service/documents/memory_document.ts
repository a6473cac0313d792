import type { SharedDocument, SharedDocumentContent } from "./shared_document.ts";

/** A document of this process alone, for as long as the process lives. */
export class MemoryDocument implements SharedDocument {
  #text: SharedDocumentContent | undefined;
  readonly #waiting = new Set<() => void>();

  read(): Promise<SharedDocumentContent | undefined> {
    return Promise.resolve(this.#text);
  }

  write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
  ): Promise<boolean> {
    if (this.#text?.version !== version) return Promise.resolve(false);
    this.#text = { data: { ...data }, version: String(Number(version ?? 0) + 1) };
    for (const wake of [...this.#waiting]) wake();
    return Promise.resolve(true);
  }

  async *watch(signal: AbortSignal): AsyncGenerator<void> {
    let changed = Promise.withResolvers<void>();
    const wake = () => changed.resolve();
    this.#waiting.add(wake);
    signal.addEventListener("abort", wake);
    try {
      while (!signal.aborted) {
        yield;
        await changed.promise;
        changed = Promise.withResolvers();
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#waiting.delete(wake);
    }
  }
}
