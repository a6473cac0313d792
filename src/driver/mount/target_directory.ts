import { basename, dirname, isAbsolute, resolve } from "node:path";
import { removeFiles } from "./atomic_directory.ts";
import { isNotFound } from "../../shared/linux/directory_entries.ts";
import { removeContents } from "../../shared/linux/directory_removal.ts";
import type { Libc } from "../../shared/linux/libc.ts";

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

/** Why a target cannot be made where its parent does not exist. */
export function missingParentReason(targetPath: string): string {
  return `the directory above target path ${targetPath} does not exist in the driver's container, and ` +
    `the kubelet makes it before it calls: give the driver a volumeMount of the kubelet's directory ` +
    `"pods" with the same path as on the host`;
}

/**
 * Makes the target directory in the directory that the kubelet made; returns the resolved path. Adds its removal to `undo`
 * if this call made it. The CSI specification leaves the parent to the caller: to make it would hide a wrong hostPath.
 */
export function createTarget(targetPath: string, undo: DisposableStack): string {
  const path = resolveTarget(targetPath);
  if (path === undefined) throw new Error(missingParentReason(targetPath));
  try {
    Deno.mkdirSync(path, { mode: 0o750 });
    undo.defer(() => removeEmpty(path));
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  requireDirectory(path);
  return path;
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

/** Removes a target that nothing is mounted on, with everything in it; a missing one is fine. */
export function removeTarget(libc: Libc, path: string): void {
  if (!isPresent(path)) return;
  using directory = libc.openDirectory(path);
  removeContents(directory);
  Deno.removeSync(path);
}

/** Removes a target that nothing is mounted on: files in our layout, then the directory; a missing one is fine. */
export function removeEmptyTarget(libc: Libc, path: string): void {
  if (!isPresent(path)) return;
  using directory = libc.openDirectory(path);
  removeFiles(directory);
  const left = [...Deno.readDirSync(path)].map((entry) => entry.name);
  if (left.length > 0) {
    throw new Error(
      `target path ${path} holds what this driver did not write (${left.slice(0, 3).join(", ")}` +
        `${left.length > 3 ? ", …" : ""}); move it away, then the volume can be removed`,
    );
  }
  Deno.removeSync(path);
}

function isPresent(path: string): boolean {
  if (entryKind(path) === "absent") return false;
  requireDirectory(path);
  return true;
}

function removeEmpty(path: string): void {
  try {
    // A file or a link that replaced the directory is not ours to remove.
    if (entryKind(path) === "directory") Deno.removeSync(path);
  } catch {
    // Another process uses it by now, so it is not ours to remove either.
  }
}
