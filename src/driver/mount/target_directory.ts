import { basename, dirname, isAbsolute, resolve } from "node:path";
import { removeFiles } from "./atomic_directory.ts";
import { isNotFound } from "../../shared/linux/directory_entries.ts";

/** The kind of entry at a path, links not followed. */
export type EntryKind = "absent" | "directory" | "link" | "other";

export function entryKind(path: string): EntryKind {
  try {
    const entry = Deno.lstatSync(path);
    if (entry.isSymlink) return "link";
    return entry.isDirectory ? "directory" : "other";
  } catch (error) {
    if (isNotFound(error)) return "absent";
    throw error;
  }
}

/** The target as mountinfo spells it, links above it resolved; undefined when its parent does not exist. */
export function resolveTarget(targetPath: string): string | undefined {
  if (!isAbsolute(targetPath)) {
    throw new TypeError(`target path ${JSON.stringify(targetPath)} is not absolute`);
  }
  const path = resolve(targetPath);
  try {
    const parent = Deno.realPathSync(dirname(path));
    return `${parent === "/" ? "" : parent}/${basename(path)}`;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Makes the target directory and, where missing, those above it; returns the resolved path.
 *
 * Adds the removal of exactly those that this call made to `undo`.
 */
export function createTarget(targetPath: string, undo: DisposableStack): string {
  make(resolve(targetPath), undo);
  const path = resolveTarget(targetPath);
  if (path === undefined) throw new Error(`target path ${targetPath} cannot be made`);
  requireDirectory(path);
  return path;
}

/** Makes directories without checking first: the kubelet makes all but the last of them. */
function make(path: string, undo: DisposableStack): void {
  try {
    Deno.mkdirSync(path, { mode: 0o750 });
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    if (!isNotFound(error) || path === "/") throw error;
    make(dirname(path), undo);
    Deno.mkdirSync(path, { mode: 0o750 });
  }
  undo.defer(() => removeEmpty(path));
}

/** Throws unless a real directory is there: mounting and writing would follow a link. */
export function requireDirectory(path: string): void {
  const kind = entryKind(path);
  if (kind === "directory") return;
  const found = { absent: "is missing", link: "is a symbolic link", other: "is not a directory" };
  throw new Error(
    `target path ${path} ${found[kind]}; a directory or nothing is accepted there, and links ` +
      `are never followed: remove it`,
  );
}

/** Removes a target that nothing is mounted on: files in our layout, then the directory; a missing one is fine. */
export function removeTarget(path: string): void {
  if (entryKind(path) === "absent") return;
  requireDirectory(path);
  removeFiles(path);
  const left = [...Deno.readDirSync(path)].map((entry) => entry.name);
  if (left.length > 0) {
    throw new Error(
      `target path ${path} holds what this driver did not write (${left.slice(0, 3).join(", ")}` +
        `${left.length > 3 ? ", …" : ""}); move it away, then the volume can be removed`,
    );
  }
  Deno.removeSync(path);
}

function removeEmpty(path: string): void {
  try {
    // A file or a link that replaced the directory is not ours to remove.
    if (entryKind(path) === "directory") Deno.removeSync(path);
  } catch {
    // Another process uses it by now, so it is not ours to remove either.
  }
}
