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
  /** Undefined: it is not there. Rejects when it cannot be asked for. */
  read(signal: AbortSignal): Promise<SharedDocumentContent | undefined>;
  /**
   * Writes if `version` is still what was read (undefined: it must not be there yet); false when
   * somebody else was faster. Rejects when it cannot be written.
   */
  write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Yields when something may have changed, until aborted; survives disconnects. */
  watch(signal: AbortSignal): AsyncIterable<void>;
}
