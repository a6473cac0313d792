import { randomBytes } from "node:crypto";
import { join } from "node:path";
import type { VolumeFiles } from "../volume/mounter.ts";
import { isNotFound, removeEntry } from "../../shared/linux/directory_entries.ts";

/*
 * The layout, the same as the kubelet's for Secrets: each set of files in a directory of its own, `..<16 hex>`; the link
 * `..data` names the current one; `tls.crt` is a link to `..data/tls.crt`. One rename swaps all files. The previous set
 * remains until the next swap begins: a reader that has opened its directory still finds the files in it.
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
  const previous = currentGeneration(directory);
  // Before the new files are written, so that two sets need space and not three; a killed driver's set is removed too.
  removeWhere(directory, present.values(), ({ name }) => isGeneration(name) && name !== previous);
  writeGeneration(join(directory, generation), files);
  for (const name of names) link(directory, name, present.get(name), undo);
  swap(directory, generation, present, undo);
  undo.move();
  for (const name of names) present.delete(name);
  removeWhere(directory, present.values(), (entry) => isFileLink(directory, entry));
  // A mode or a group that changed holds for the previous files too: they can contain the same key.
  const current = accessOf(join(directory, generation));
  const hasOtherAccess = ({ name }: Present) =>
    name === previous && accessOf(join(directory, name)) !== current;
  removeWhere(directory, present.values(), hasOtherAccess);
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

/** Removes entries of ours; what cannot be removed now is tried again at the next swap, which it does not prevent. */
function removeWhere(
  directory: string,
  entries: Iterable<Present>,
  isStale: (entry: Present) => boolean,
): void {
  for (const entry of entries) {
    try {
      if (isStale(entry)) removeEntry(join(directory, entry.name));
    } catch {
      // What remains takes space, and is read by no one.
    }
  }
}

/** The modes and groups of a generation's files. */
function accessOf(generation: string): string {
  const access = [...Deno.readDirSync(generation)].map(({ name }) => {
    const { mode, gid } = Deno.lstatSync(join(generation, name));
    return `${mode}:${gid}`;
  });
  return [...new Set(access)].sort().join();
}

/** Removes our layout and leaves anything else; a directory without one is fine. */
export function removeFiles(directory: string): void {
  for (const entry of [...Deno.readDirSync(directory)]) {
    if (isOwn(directory, entry)) removeEntry(join(directory, entry.name));
  }
}

function isOwn(directory: string, entry: Present): boolean {
  const { name } = entry;
  return name === dataLink || name === nextDataLink || isGeneration(name) ||
    isFileLink(directory, entry);
}

function isGeneration(name: string): boolean {
  return generationName.test(name);
}

function isFileLink(directory: string, { name, isSymlink }: Present): boolean {
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
  const generation = currentGeneration(directory);
  return names.map((name) =>
    generation === undefined ? undefined : unlessMissing(() => {
      const path = `${directory}/${generation}/${name}`;
      return Deno.lstatSync(path).isFile ? Deno.readTextFileSync(path) : undefined;
    })
  );
}

/** The name of the directory that contains the current files. */
function currentGeneration(directory: string): string | undefined {
  return unlessMissing(() => {
    const data = `${directory}/${dataLink}`;
    if (!Deno.lstatSync(data).isSymlink) return undefined;
    const name = Deno.readLinkSync(data);
    const isOurs = isGeneration(name) && Deno.lstatSync(`${directory}/${name}`).isDirectory;
    return isOurs ? name : undefined;
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
