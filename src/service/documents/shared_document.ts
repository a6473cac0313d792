/**
 * This folder reads texts from outside the process: files that are watched, and small documents
 * that the service's replicas share. Its main types are the port `SharedDocument` and
 * `MemoryDocument`; its main functions are `watchTextFile` and `updateDocument`. It never interprets
 * a text.
 */

/** A text that replicas share. */
export interface SharedDocumentContent {
  readonly data: Readonly<Record<string, string>>;
  readonly version: string;
}

/** A small document that replicas share, with optimistic concurrency (the data of a ConfigMap). */
export interface SharedDocument {
  /** The object, for messages. */
  readonly name: string;
  /** Undefined when it does not exist. Rejects when it cannot be read. */
  read(signal: AbortSignal): Promise<SharedDocumentContent | undefined>;
  /**
   * Writes if `version` is still the current one (undefined: it must not exist yet); returns false when
   * another replica has written. Rejects when it cannot be written.
   */
  write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Yields at first and when it may have changed, until aborted; reconnects by itself. */
  watch(signal: AbortSignal): AsyncIterable<void>;
}

/** Replicas that write at the same time need a few attempts; more indicate a fault. */
const maxAttempts = 20;

/**
 * Writes the data that `change` computes from the document's content, and returns the value that it
 * returned with them. `change` is called again with the newer content when another replica writes in
 * between; data that are undefined leave the document as it is. Rejects when the document cannot be
 * read or written, and as `change` throws.
 */
export async function updateDocument<T>(
  document: SharedDocument,
  change: (content: SharedDocumentContent | undefined) => {
    readonly value: T;
    readonly data: Readonly<Record<string, string>> | undefined;
  },
  signal: AbortSignal,
): Promise<T> {
  for (let attempt = 0; attempt < maxAttempts; attempt++) {
    const content = await document.read(signal);
    const { value, data } = change(content);
    if (data === undefined || await document.write(data, content?.version, signal)) return value;
  }
  throw new Error(
    `${document.name} changed between each of ${maxAttempts} reads and writes: ` +
      "find the other program that changes it, and stop it",
  );
}
