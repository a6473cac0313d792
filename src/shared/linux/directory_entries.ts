/** Looking at entries of directories, and removing them, without ever following a link. */

/** What is at the path itself, or undefined when nothing is. */
export function entryAt(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.lstatSync(path);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Removes a file, a link or a whole directory, never what a link leads to; a missing one is fine. */
export function removeEntry(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!isNotFound(error)) throw error;
  }
}

/** Whether an error says that a path, or a directory on the way to it, is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
