import { basename, dirname, isAbsolute, resolve } from "node:path";
import { type Disk, isNotFound } from "../../shared/linux/disk.ts";
import { removeContents } from "../../shared/linux/directory_removal.ts";
import type { Libc } from "../../shared/linux/libc.ts";
import { ownEntries } from "./atomic_directory.ts";

/** The kind of entry at a path, links not followed. */
export type EntryKind = "absent" | "directory" | "link" | "other";

/**
 * A target that the disk has looked up. For a moment the kernel has all of its path in memory, and for as long as a mount
 * begins there: a synchronous call that walks the path then, as mount(2) does, does not wait for the disk.
 */
export interface FoundTarget {
  /** The path as mountinfo spells it, links above it resolved; undefined when its parent does not exist. */
  readonly path: string | undefined;
  readonly kind: EntryKind;
}

export async function findTarget(disk: Disk, targetPath: string): Promise<FoundTarget> {
  const path = await resolveTarget(disk, targetPath);
  if (path === undefined) return { path, kind: "absent" };
  return { path, kind: kindOf(await disk.entryAt(path)) };
}

/** The target's path, links above it resolved; undefined when its parent does not exist. */
async function resolveTarget(disk: Disk, targetPath: string): Promise<string | undefined> {
  if (!isAbsolute(targetPath)) {
    throw new TypeError(`target path ${JSON.stringify(targetPath)} is not absolute`);
  }
  const path = resolve(targetPath);
  const parent = await disk.realPath(dirname(path));
  return parent && `${parent === "/" ? "" : parent}/${basename(path)}`;
}

function kindOf(entry: Deno.FileInfo | undefined): EntryKind {
  if (entry === undefined) return "absent";
  if (entry.isSymlink) return "link";
  return entry.isDirectory ? "directory" : "other";
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
export async function createTarget(
  disk: Disk,
  targetPath: string,
  undo: AsyncDisposableStack,
): Promise<string> {
  const path = await resolveTarget(disk, targetPath);
  if (path === undefined) throw new Error(missingParentReason(targetPath));
  try {
    await disk.makeDirectory(path, { mode: 0o750 });
    undo.defer(() => removeUnused(disk, path));
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  requireDirectory(path);
  return path;
}

/** Throws unless a real directory is there: mounting and writing would follow a link. Synchronous: see FoundTarget. */
export function requireDirectory(path: string): void {
  const kind = currentKind(path);
  if (kind === "directory") return;
  const found = { absent: "is missing", link: "is a symbolic link", other: "is not a directory" };
  throw new Error(
    `target path ${path} ${found[kind]}; a directory or nothing is accepted there, and links ` +
      `are never followed: remove it`,
  );
}

function currentKind(path: string): EntryKind {
  try {
    return kindOf(Deno.lstatSync(path));
  } catch (error) {
    if (isNotFound(error)) return "absent";
    throw error;
  }
}

/** Removes a target that nothing is mounted on, with everything in it. Synchronous, as plain directories are in all. */
export function removeTarget(libc: Libc, path: string): void {
  using directory = libc.openDirectory(path);
  removeContents(directory);
  Deno.removeSync(path);
}

/** Removes a target that nothing is mounted on: files in our layout, then the directory. */
export async function removeEmptyTarget(disk: Disk, libc: Libc, path: string): Promise<void> {
  try {
    // The usual case.
    return await disk.removeOne(path);
  } catch (error) {
    const { own, others } = listTarget(libc, path);
    if (own.length + others.length === 0) throw error;
    for (const name of own) await disk.removeTree(`${path}/${name}`);
    if (others.length === 0) return await disk.removeOne(path);
    throw new Error(
      `target path ${path} holds what this driver did not write (${others.slice(0, 3).join(", ")}` +
        `${others.length > 3 ? ", …" : ""}); move it away, then the volume can be removed`,
    );
  }
}

async function removeUnused(disk: Disk, path: string): Promise<void> {
  try {
    // A file or a link that replaced the directory is not ours to remove.
    if (kindOf(await disk.entryAt(path)) === "directory") await disk.removeOne(path);
  } catch {
    // Another process uses it by now, so it is not ours to remove either.
  }
}

function listTarget(libc: Libc, path: string): ReturnType<typeof ownEntries> {
  using directory = libc.openDirectory(path);
  return ownEntries(directory);
}
