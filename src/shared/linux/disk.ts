import { Semaphore } from "../scheduler/semaphore.ts";

/** Deno's asynchronous calls of the file system; tests replace some of them. */
export type FileCalls = Pick<
  typeof Deno,
  | "lstat"
  | "mkdir"
  | "readDir"
  | "readTextFile"
  | "realPath"
  | "remove"
  | "rename"
  | "writeTextFile"
>;

/**
 * A call that the disk does not answer has one of the runtime's 32 threads until it does (Deno 2.9.6: with 31 such calls
 * files are read, keys generated and host names resolved; with 32 none of it). On a frozen file system (fsfreeze(8))
 * calls that read are answered, and calls that change something are not.
 */
const mostReading = 12;
const mostChanging = 12;

const never = new AbortController().signal;

/**
 * The file system of a disk, which can stop answering for any time: its calls wait on other threads, so many at once, the
 * others in the order of their calls. None follows a link at its path, `realPath` excepted.
 */
export class Disk {
  readonly #calls: FileCalls;
  readonly #reading = new Semaphore(mostReading);
  readonly #changing = new Semaphore(mostChanging);

  constructor(calls: FileCalls = Deno) {
    this.#calls = calls;
  }

  /** The entry at the path itself, or undefined when there is none. */
  entryAt(path: string): Promise<Deno.FileInfo | undefined> {
    return unlessMissing(this.#read(() => this.#calls.lstat(path)));
  }

  /** The path without links; undefined when it does not exist. */
  realPath(path: string): Promise<string | undefined> {
    return unlessMissing(this.#read(() => this.#calls.realPath(path)));
  }

  /** The entries of a directory; none for one that does not exist. */
  async entriesOf(path: string): Promise<Deno.DirEntry[]> {
    const entries = this.#read(() => Array.fromAsync(this.#calls.readDir(path)));
    return await unlessMissing(entries) ?? [];
  }

  /** Follows a link, so the caller checks that there is none. */
  readText(path: string): Promise<string> {
    return this.#read(() => this.#calls.readTextFile(path));
  }

  /** Also those above it, if `recursive`; otherwise an existing one is an error. */
  makeDirectory(path: string, options: { mode: number; recursive?: boolean }): Promise<void> {
    return this.#change(() => this.#calls.mkdir(path, options));
  }

  writeNewText(path: string, text: string, mode: number): Promise<void> {
    return this.#change(() => this.#calls.writeTextFile(path, text, { createNew: true, mode }));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#change(() => this.#calls.rename(from, to));
  }

  /** Removes a file, a link or an empty directory; a missing one is fine. */
  async removeOne(path: string): Promise<void> {
    await unlessMissing(this.#change(() => this.#calls.remove(path)));
  }

  /** Removes a file, a link or a whole directory, never what a link leads to; a missing one is fine. */
  async removeTree(path: string): Promise<void> {
    await unlessMissing(this.#change(() => this.#calls.remove(path, { recursive: true })));
  }

  #read<T>(call: () => Promise<T>): Promise<T> {
    return limited(this.#reading, call);
  }

  #change<T>(call: () => Promise<T>): Promise<T> {
    return limited(this.#changing, call);
  }
}

async function limited<T>(semaphore: Semaphore, call: () => Promise<T>): Promise<T> {
  using _permit = await semaphore.acquire(never);
  return await call();
}

async function unlessMissing<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Whether an error means that a path, or a directory above it, does not exist. */
export function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
