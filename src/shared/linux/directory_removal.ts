import { randomBytes } from "node:crypto";
import { type Directory, type EntryName, isMissing } from "./directory.ts";

/** Of one removal: another process can write a million files, and the event loop waits for the removal. */
const mostEntries = 20_000;

/**
 * Removes an entry of a directory and everything below it; a missing one is fine. However deep the directories are, it
 * needs two descriptors and no stack: each inner directory is moved to the top first, under a name `..<16 hex digits>`.
 */
export function removeTree(top: Directory, name: EntryName): void {
  removeTrees(top, [name], { entries: 0 });
}

/** Removes everything in a directory. */
export function removeContents(top: Directory): void {
  const count = { entries: 0 };
  for (const name of top.names()) removeTrees(top, [name], count);
}

function removeTrees(top: Directory, names: EntryName[], count: { entries: number }): void {
  for (let name = names.pop(); name !== undefined; name = names.pop()) {
    for (countEntry(count); !top.removeOne(name); countEntry(count)) {
      try {
        emptyDirectory(top, name, names, count);
      } catch (error) {
        // Another process put something else in its place, which the next attempt removes.
        if (!isMissing(error)) throw error;
      }
    }
  }
}

function emptyDirectory(
  top: Directory,
  name: EntryName,
  names: EntryName[],
  count: { entries: number },
): void {
  using directory = top.openDirectory(name);
  for (const entry of directory.names()) {
    countEntry(count);
    if (directory.removeOne(entry)) continue;
    const moved = `..${randomBytes(8).toString("hex")}`;
    directory.rename(entry, top, moved);
    names.push(moved);
  }
}

function countEntry(count: { entries: number }): void {
  count.entries += 1;
  if (count.entries <= mostEntries) return;
  throw new Error(
    `the directory contains more than ${mostEntries} entries; the next attempt removes the others`,
  );
}
