/**
 * This folder puts a volume's files where the pod sees them: on a tmpfs for each volume, or in a
 * plain directory where mounting is not permitted. It replaces all files of a volume at one
 * instant. Its main types are `TmpfsMounter`, `PlainDirectoryMounter`, `MountTable` and
 * `StagingArea`. It never follows a link that it finds in a volume, and never unmounts what this
 * driver did not mount.
 */

import { dirname } from "node:path";
import type { Mounter, TargetState, VolumeFiles } from "../volume/mounter.ts";
import type { Disk } from "../../shared/linux/disk.ts";
import type { Libc } from "../../shared/linux/libc.ts";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
import { readFiles } from "./atomic_directory.ts";
import { isOwnMount, type MountOrigin, type MountTable } from "./mount_table.ts";
import type { StagingArea } from "./staging_area.ts";
import {
  createTarget,
  findTarget,
  type FoundTarget,
  missingParentReason,
  removeEmptyTarget,
  requireDirectory,
} from "./target_directory.ts";

/** The error for a mount at a target that another program put there. */
export function foreignMountError(path: string, mount: MountOrigin): Error {
  return new Error(
    `target path ${path} holds a mount that is not this driver's (${mount.fileSystem} from ` +
      `${mount.source}); it is left alone: unmount it, then the call will succeed`,
  );
}

/**
 * Mounts a tmpfs for each volume, read-only at its target, so that no process in a pod can write where this program,
 * as root, writes later.
 */
export class TmpfsMounter implements Mounter, Disposable {
  readonly kind = "tmpfs";
  readonly #disk: Disk;
  readonly #libc: Libc;
  readonly #mounts: MountTable;
  readonly #staging: StagingArea;
  /** What is synchronous blocks the event loop, a mount for milliseconds on a node full of them. */
  readonly #eventLoop = new EventLoopLimiter();

  /** Owns all but the disk: disposing unmounts the staging area and closes `mounts`, and with it the library. */
  constructor(parts: {
    readonly disk: Disk;
    readonly libc: Libc;
    readonly mounts: MountTable;
    readonly staging: StagingArea;
  }) {
    this.#disk = parts.disk;
    this.#libc = parts.libc;
    this.#mounts = parts.mounts;
    this.#staging = parts.staging;
  }

  /** Why a key may reach a disk through swap space; undefined where it cannot. */
  get swapProblem(): string | undefined {
    return this.#staging.swapProblem;
  }

  async state(targetPath: string): Promise<TargetState> {
    return this.#stateOf(await this.#find(targetPath));
  }

  /** Looks a target up; resolves in a turn of the event loop in which no other target is worked on. */
  async #find(targetPath: string): Promise<FoundTarget> {
    const found = await findTarget(this.#disk, targetPath);
    await this.#eventLoop.acquire();
    return found;
  }

  #stateOf({ path, kind }: FoundTarget): TargetState {
    if (path === undefined || kind === "absent") return "absent";
    if (kind !== "directory") return "foreign";
    const mount = this.#mounts.at(path);
    if (mount === undefined) return "absent";
    return isOwnMount(mount) ? "ours" : "foreign";
  }

  async rejectionReason(targetPath: string): Promise<string | undefined> {
    const { path } = await this.#find(targetPath);
    return path === undefined ? missingParentReason(targetPath) : this.#unsharedReason(path);
  }

  /** A pod does not see a volume on a mount that is not shared: its directory would be empty. */
  #unsharedReason(path: string): string | undefined {
    const mount = this.#mounts.unsharedMountOf(dirname(path));
    return mount &&
      `the mount ${mount.mountPoint} of target path ${path} is not shared, so the pod ` +
        `would see an empty directory: set mountPropagation: Bidirectional in the driver's volumeMount ` +
        `with mountPath ${mount.mountPoint}`;
  }

  async publish(targetPath: string, files: VolumeFiles, signal: AbortSignal): Promise<void> {
    await using undo = new AsyncDisposableStack();
    const path = await createTarget(this.#disk, targetPath, undo);
    await this.#eventLoop.acquire();
    // The disk may have answered long after the call ended. Nothing is awaited from here on.
    signal.throwIfAborted();
    const mount = this.#mounts.at(path);
    if (mount && isOwnMount(mount)) this.#replace(path, files);
    else this.#mount(path, files);
    undo.move();
  }

  #mount(path: string, files: VolumeFiles): void {
    const reason = this.#unsharedReason(path);
    if (reason !== undefined) throw new Error(reason);
    using staged = this.#staging.createDirectory();
    staged.mountTmpfs();
    staged.replaceFiles(files);
    // Read-only before the move, not after: flags of a mount do not reach the copies that its peers have received.
    staged.makeReadOnly();
    // Checked again just before, because mount(2) follows a link.
    requireDirectory(path);
    const mount = this.#mounts.at(path);
    if (mount !== undefined) throw foreignMountError(path, mount);
    staged.moveTo(path);
  }

  async replace(targetPath: string, files: VolumeFiles): Promise<void> {
    const found = await this.#find(targetPath);
    if (found.path === undefined || this.#stateOf(found) !== "ours") {
      throw new Error(`no volume of this driver is mounted at target path ${targetPath}`);
    }
    this.#replace(found.path, files);
  }

  #replace(path: string, files: VolumeFiles): void {
    using staged = this.#staging.createDirectory();
    staged.bindWritable(path);
    staged.replaceFiles(files);
  }

  async read(targetPath: string, names: readonly string[]): Promise<(string | undefined)[]> {
    const found = await this.#find(targetPath);
    if (found.path === undefined || this.#stateOf(found) !== "ours") {
      return names.map(() => undefined);
    }
    using directory = this.#libc.openDirectory(found.path);
    return readFiles(directory, names);
  }

  async unpublish(targetPath: string): Promise<void> {
    const { path, kind } = await this.#find(targetPath);
    if (path === undefined || kind === "absent") return;
    requireDirectory(path);
    for (let mount = this.#mounts.at(path); mount !== undefined; mount = this.#mounts.at(path)) {
      if (!isOwnMount(mount)) throw foreignMountError(path, mount);
      this.#mounts.unmount(path);
    }
    await removeEmptyTarget(this.#disk, this.#libc, path);
  }

  mounted(): string[] {
    const places = this.#mounts.all().filter(isOwnMount).map(({ mountPoint }) => mountPoint);
    return [...new Set(places)];
  }

  [Symbol.dispose](): void {
    this.#staging[Symbol.dispose]();
    this.#mounts[Symbol.dispose]();
  }
}
