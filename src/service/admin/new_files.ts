import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { describeFileError } from "../../shared/text/file_error.ts";

/** A file to make: its name, its text and its permission bits. */
export interface NewFile {
  readonly name: string;
  readonly text: string;
  readonly mode: number;
}

/**
 * Makes all files in a directory, which is made with mode 0700 if it is missing, or none. Rejects, and
 * names the file, when one exists or cannot be written.
 */
export async function writeNewFiles(directory: string, files: readonly NewFile[]): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 }).catch(failure(directory));
  await using undo = new AsyncDisposableStack();
  for (const { name, text, mode } of files) {
    const path = join(directory, name);
    await using file = await open(path, "wx", mode).catch(failure(path));
    undo.defer(() => rm(path));
    await file.writeFile(text).then(() => file.sync()).catch(failure(path));
  }
  undo.move();
}

function failure(path: string) {
  return (error: NodeJS.ErrnoException): never => {
    if (error.code !== "EEXIST") throw new Error(describeFileError(path, error, "written"));
    throw new Error(`${path} exists and is not overwritten: give another directory`);
  };
}
