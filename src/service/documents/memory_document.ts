import { changes, Listeners } from "../../shared/scheduler/listeners.ts";
import type { SharedDocument, SharedDocumentContent } from "./shared_document.ts";

/** A document in the memory of this process. */
export class MemoryDocument implements SharedDocument {
  readonly name = "the document in this process's memory";
  #text: SharedDocumentContent | undefined;
  readonly #listeners = new Listeners();

  read(): Promise<SharedDocumentContent | undefined> {
    return Promise.resolve(this.#text);
  }

  write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
  ): Promise<boolean> {
    if (this.#text?.version !== version) return Promise.resolve(false);
    this.#text = { data: { ...data }, version: String(Number(version ?? 0) + 1) };
    this.#listeners.call();
    return Promise.resolve(true);
  }

  watch(signal: AbortSignal): AsyncGenerator<void> {
    return changes((listener) => this.#listeners.add(listener), signal);
  }
}
