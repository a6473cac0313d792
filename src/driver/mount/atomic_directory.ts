import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { VolumeFiles } from "../volume/mounter.ts";
import { isNotFound, removeEntry } from "../../shared/linux/directory_entries.ts";

/*
 * The layout, the same as the kubelet's for Secrets: each set of files in a directory of its own, `..<16 hex>`; the link
 * `..data` names the current one; `tls.crt` is a link to `..data/tls.crt`. One rename swaps all files.
 * A pod may have written anything into the directory: no link found in it is followed.
 */
const dataLink = "..data";
const nextDataLink = "..data_tmp";
const generationName = /^\.\.[0-9a-f]{16}$/;

/**
 * Swaps the files of a directory, all at one instant; when it throws, the old ones are still there, and nothing else.
 * Synchronous: to write a file in memory takes a tenth of the time of a call on another thread.
 */
export function replaceFiles(directory: string, files: VolumeFiles): void {
  const names = [...files.contents.keys()];
  names.forEach(checkName);
  const generation = `..${randomBytes(8).toString("hex")}`;

  using undo = new DisposableStack();
  undo.defer(() => removeEntry(join(directory, generation)));
  // Listed once: a look-up of a missing name costs ten times as much as an entry of the list.
  const present = new Map([...Deno.readDirSync(directory)].map((entry) => [entry.name, entry]));
  writeGeneration(join(directory, generation), files);
  for (const name of names) link(directory, name, present.get(name), undo);
  swap(directory, generation, present, undo);
  undo.move();
  for (const name of [generation, dataLink, ...names]) present.delete(name);
  removeStale(directory, present.values());
}

type Present = Pick<Deno.DirEntry, "name" | "isSymlink" | "isDirectory">;

function checkName(name: string): void {
  if (!/^(?!\.\.)[^/\0]{1,255}$/.test(name) || name === ".") {
    throw new TypeError(
      `${JSON.stringify(name)} is no name for a file of a volume: one path component that does ` +
        `not start with two dots is accepted`,
    );
  }
}

function writeGeneration(directory: string, files: VolumeFiles): void {
  Deno.mkdirSync(directory);
  // The umask clears bits of a new directory; of a file that Deno writes it does not.
  Deno.chmodSync(directory, 0o755);
  for (const [name, text] of files.contents) {
    const path = join(directory, name);
    Deno.writeTextFileSync(path, text, { createNew: true, mode: files.mode });
    if (files.group !== undefined) Deno.chownSync(path, null, files.group);
  }
}

/** Makes the link that a reader opens; before the first swap its target does not exist yet. */
function link(
  directory: string,
  name: string,
  present: Present | undefined,
  undo: DisposableStack,
): void {
  const path = join(directory, name);
  if (present?.isSymlink && Deno.readLinkSync(path) === linkTarget(name)) return;
  if (present !== undefined) removeEntry(path);
  Deno.symlinkSync(linkTarget(name), path);
  // A repaired link is not undone: the old files are read through it.
  if (present === undefined) undo.defer(() => removeEntry(path));
}

function linkTarget(name: string): string {
  return `${dataLink}/${name}`;
}

function swap(
  directory: string,
  generation: string,
  present: ReadonlyMap<string, Present>,
  undo: DisposableStack,
): void {
  const next = join(directory, nextDataLink);
  const data = join(directory, dataLink);
  if (present.has(nextDataLink)) removeEntry(next);
  Deno.symlinkSync(generation, next);
  undo.defer(() => removeEntry(next));
  // A link cannot be renamed over a directory; ours is never one.
  if (present.get(dataLink)?.isDirectory) removeEntry(data);
  Deno.renameSync(next, data);
}

/** Removes older files of ours; what cannot be removed now is tried again at the next swap. */
function removeStale(directory: string, entries: Iterable<Present>): void {
  for (const entry of entries) {
    try {
      if (isOwn(directory, entry)) removeEntry(join(directory, entry.name));
    } catch {
      // The new files are in place: failing now would say that they are not.
    }
  }
}

/** Removes our layout and leaves anything else; a directory without one is fine. */
export function removeFiles(directory: string): void {
  for (const entry of [...Deno.readDirSync(directory)]) {
    if (isOwn(directory, entry)) removeEntry(join(directory, entry.name));
  }
}

function isOwn(directory: string, { name, isSymlink }: Present): boolean {
  if (name === dataLink || name === nextDataLink || generationName.test(name)) return true;
  return isSymlink && Deno.readLinkSync(join(directory, name)) === linkTarget(name);
}

/** Whether a directory contains files in our layout. */
export function hasVolumeFiles(directory: string): boolean {
  try {
    return generationName.test(Deno.readLinkSync(join(directory, dataLink)));
  } catch {
    return false;
  }
}

/** The texts of current files, all of the same swap; undefined for one that is not there, or when the layout is not ours. */
export function readFiles(directory: string, names: readonly string[]): (string | undefined)[] {
  names.forEach(checkName);
  // A swap between the steps removes the old files; the second attempt finds the new ones.
  const texts = readOnce(directory, names);
  return texts.includes(undefined) ? readOnce(directory, names) : texts;
}

function readOnce(directory: string, names: readonly string[]): (string | undefined)[] {
  const generation = currentGeneration(directory);
  return names.map((name) =>
    generation === undefined ? undefined : unlessMissing(() => {
      const path = `${generation}/${name}`;
      return Deno.lstatSync(path).isFile ? Deno.readTextFileSync(path) : undefined;
    })
  );
}

/** The directory that contains the current files. */
function currentGeneration(directory: string): string | undefined {
  return unlessMissing(() => {
    const data = `${directory}/${dataLink}`;
    if (!Deno.lstatSync(data).isSymlink) return undefined;
    const name = Deno.readLinkSync(data);
    const generation = `${directory}/${name}`;
    return generationName.test(name) && Deno.lstatSync(generation).isDirectory
      ? generation
      : undefined;
  });
}

function unlessMissing<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
