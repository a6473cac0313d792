import { randomBytes } from "node:crypto";
import type { VolumeFiles } from "../volume/mounter.ts";
import { type Directory, isMissing } from "../../shared/linux/directory.ts";
import { removeTree } from "../../shared/linux/directory_removal.ts";

/*
 * The layout, the same as the kubelet's for Secrets: each set of files in a directory of its own, `..<16 hex>`; the link
 * `..data` names the current one; `tls.crt` is a link to `..data/tls.crt`. One rename swaps all files. The previous set
 * remains until the next swap begins: a reader that has opened its directory still finds the files in it.
 * A pod may write anything into the directory at any time: no link in it is followed, and every file is reached through
 * the descriptor of its directory.
 */
const dataLink = "..data";
const nextDataLink = "..data_tmp";
const generationName = /^\.\.[0-9a-f]{16}$/;

/** A volume has some ten entries; a pod that writes more into its volume gets no new certificate. */
const mostEntries = 1_000;
/** The volume's tmpfs has no space for more. */
const mostFileBytes = 1024 * 1024;

/**
 * Swaps the files of a directory, all at one instant; when it throws, the old ones are still there, and nothing else.
 * Synchronous: to write a file in memory takes a tenth of the time of a call on another thread.
 */
export function replaceFiles(directory: Directory, files: VolumeFiles): void {
  const names = [...files.contents.keys()];
  names.forEach(checkName);
  const generation = `..${randomBytes(8).toString("hex")}`;

  using undo = new DisposableStack();
  const present = listNames(directory);
  const previous = currentGeneration(directory);
  // Before the new files are written, so that two sets need space and not three; a killed driver's set is removed too.
  removeWhere(directory, present, (name) => isGeneration(name) && name !== previous);
  undo.defer(() => removeTree(directory, generation));
  writeGeneration(directory, generation, files);
  for (const name of names) link(directory, name, present, undo);
  swap(directory, generation, present, undo);
  undo.move();
  removeWhere(directory, present, (name) => !names.includes(name) && isFileLink(directory, name));
  // A mode or a group that changed holds for the previous files too: they can contain the same key.
  const hasOtherAccess = (name: string) =>
    name === previous && accessOf(directory, name) !== accessOf(directory, generation);
  removeWhere(directory, present, hasOtherAccess);
}

function checkName(name: string): void {
  if (!/^(?!\.\.)[^/\0]{1,255}$/.test(name) || name === ".") {
    throw new TypeError(
      `${JSON.stringify(name)} is no name for a file of a volume: one path component that does ` +
        `not start with two dots is accepted`,
    );
  }
}

function listNames(directory: Directory): ReadonlySet<string> {
  const names = new Set<string>();
  for (const name of directory.names()) {
    names.add(new TextDecoder().decode(name.subarray(0, -1)));
    if (names.size > mostEntries) {
      throw new Error(
        `the volume contains more than ${mostEntries} files that this driver did not write: ` +
          "delete them",
      );
    }
  }
  return names;
}

function writeGeneration(directory: Directory, generation: string, files: VolumeFiles): void {
  directory.makeDirectory(generation);
  using opened = directory.openDirectory(generation);
  opened.setMode(0o755);
  for (const [name, text] of files.contents) opened.writeNewFile(name, text, files);
}

/** Makes the link that a reader opens; before the first swap its target does not exist yet. */
function link(
  directory: Directory,
  name: string,
  present: ReadonlySet<string>,
  undo: DisposableStack,
): void {
  if (isFileLink(directory, name)) return;
  if (present.has(name)) removeTree(directory, name);
  directory.makeLink(name, linkTarget(name));
  // A repaired link is not undone: the old files are read through it.
  if (!present.has(name)) undo.defer(() => removeTree(directory, name));
}

function linkTarget(name: string): string {
  return `${dataLink}/${name}`;
}

function swap(
  directory: Directory,
  generation: string,
  present: ReadonlySet<string>,
  undo: DisposableStack,
): void {
  if (present.has(nextDataLink)) removeTree(directory, nextDataLink);
  directory.makeLink(nextDataLink, generation);
  undo.defer(() => removeTree(directory, nextDataLink));
  // A link cannot be renamed over a directory; ours is never one.
  if (present.has(dataLink) && directory.readLink(dataLink) === undefined) {
    removeTree(directory, dataLink);
  }
  directory.rename(nextDataLink, directory, dataLink);
}

/** Removes entries of ours; what cannot be removed now is tried again at the next swap, which it does not prevent. */
function removeWhere(
  directory: Directory,
  names: ReadonlySet<string>,
  isStale: (name: string) => boolean,
): void {
  for (const name of names) {
    try {
      if (isStale(name)) removeTree(directory, name);
    } catch {
      // What remains takes space, and is read by no one.
    }
  }
}

/** The modes and groups of a generation's files. */
function accessOf(directory: Directory, generation: string): string {
  using opened = directory.openDirectory(generation);
  const access = [...listNames(opened)].map((name) => {
    const { mode, group } = opened.status(name);
    return `${mode}:${group}`;
  });
  return [...new Set(access)].sort().join();
}

/** The names of a directory's entries: those of our layout, and the others. */
export function ownEntries(
  directory: Directory,
): { readonly own: readonly string[]; readonly others: readonly string[] } {
  const { own = [], others = [] } = Object.groupBy(listNames(directory), (name) => {
    const isOwn = name === dataLink || name === nextDataLink || isGeneration(name) ||
      isFileLink(directory, name);
    return isOwn ? "own" : "others";
  });
  return { own, others };
}

function isGeneration(name: string): boolean {
  return generationName.test(name);
}

function isFileLink(directory: Directory, name: string): boolean {
  return directory.readLink(name) === linkTarget(name);
}

/** Whether a directory contains files in our layout. */
export function hasVolumeFiles(path: string): boolean {
  try {
    return isGeneration(Deno.readLinkSync(`${path}/${dataLink}`));
  } catch {
    return false;
  }
}

/** The texts of current files, all of the same swap; undefined for one that is not there, or when the layout is not ours. */
export function readFiles(directory: Directory, names: readonly string[]): (string | undefined)[] {
  names.forEach(checkName);
  const generation = currentGeneration(directory);
  if (generation === undefined) return names.map(() => undefined);
  try {
    using opened = directory.openDirectory(generation);
    return names.map((name) => opened.readFile(name, mostFileBytes));
  } catch (error) {
    if (isMissing(error)) return names.map(() => undefined);
    throw error;
  }
}

/** The name of the directory that contains the current files. */
function currentGeneration(directory: Directory): string | undefined {
  const name = directory.readLink(dataLink);
  return name !== undefined && isGeneration(name) ? name : undefined;
}
