/**
 * This folder reads texts from outside the process: files that are watched, and small documents
 * that the service's replicas share. Its main types are the port `SharedDocument` and
 * `MemoryDocument`; its main function is `watchTextFile`. It never interprets a text.
 */

/** A text that replicas share. */
export interface SharedDocumentContent {
  readonly data: Readonly<Record<string, string>>;
  readonly version: string;
}

/** A small document that replicas share, with optimistic concurrency (the data of a ConfigMap). */
export interface SharedDocument {
  /** Undefined when it does not exist. Rejects when it cannot be read. */
  read(signal: AbortSignal): Promise<SharedDocumentContent | undefined>;
  /**
   * Writes if `version` is still the current one (undefined: it must not exist yet); false when
   * another writer was faster. Rejects when it cannot be written.
   */
  write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Yields when something may have changed, until aborted; survives disconnects. */
  watch(signal: AbortSignal): AsyncIterable<void>;
}
