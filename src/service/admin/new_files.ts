import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";

/** A file to make: its name, its text and its permission bits. */
export interface NewFile {
  readonly name: string;
  readonly text: string;
  readonly mode: number;
}

/** Makes all files in a directory (made if missing, 0700) or none; rejects when one is there already. */
export async function writeNewFiles(directory: string, files: readonly NewFile[]): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await using undo = new AsyncDisposableStack();
  for (const { name, text, mode } of files) {
    const path = join(directory, name);
    await using file = await open(path, "wx", mode);
    undo.defer(() => rm(path));
    await file.writeFile(text);
    await file.sync();
  }
  undo.move();
}
