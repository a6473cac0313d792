import { statfsSync } from "node:fs";
import type { Mounter, TargetState, VolumeFiles } from "../volume/mounter.ts";
import type { Disk } from "../../shared/linux/disk.ts";
import type { Libc } from "../../shared/linux/libc.ts";
import { EventLoopLimiter } from "../../shared/scheduler/event_loop_yield.ts";
import { hasVolumeFiles, readFiles, replaceFiles } from "./atomic_directory.ts";
import { foreignMountError } from "./tmpfs_mounter.ts";
import type { MountOrigin, MountTable } from "./mount_table.ts";
import {
  createTarget,
  findTarget,
  type FoundTarget,
  missingParentReason,
  removeTarget,
  requireDirectory,
} from "./target_directory.ts";

/** File systems that live in memory, by their f_type: tmpfs and ramfs (statfs(2)). */
const memoryFileSystems: ReadonlySet<number> = new Set([0x01021994, 0x858458f6]);

export interface PlainDirectoryOptions {
  readonly disk: Disk;
  readonly libc: Libc;
  /** Shows foreign mounts; the mounter owns it, and with it the library. */
  readonly mounts: MountTable;
  /** Whether private keys may be written to a file system that is not in memory. */
  readonly allowKeysOnDisk: boolean;
  readonly onWarning: (message: string) => void;
}

/**
 * Writes volumes into the target directory itself, for where mounting is not permitted.
 *
 * A pod's root can then change what its own volume shows, and the keys are stored on the target's file system. It can
 * exchange files, directories and links while this program works, so everything below the target is reached through
 * descriptors of directories, and nothing outside of the volume is changed or read. These calls are synchronous: a disk
 * that stops answering while a volume is written stops this program too.
 */
export class PlainDirectoryMounter implements Mounter, Disposable {
  readonly kind = "plain";
  /** The keys are stored on the target's own file system, which is reported by itself. */
  readonly swapProblem = undefined;
  readonly #options: PlainDirectoryOptions;
  readonly #eventLoop = new EventLoopLimiter();

  constructor(options: PlainDirectoryOptions) {
    this.#options = options;
  }

  async state(targetPath: string): Promise<TargetState> {
    return this.#stateOf(await this.#find(targetPath));
  }

  /** Looks a target up; resolves in a turn of the event loop in which no other target is worked on. */
  async #find(targetPath: string): Promise<FoundTarget> {
    const found = await findTarget(this.#options.disk, targetPath);
    await this.#eventLoop.acquire();
    return found;
  }

  #stateOf({ path, kind }: FoundTarget): TargetState {
    if (path === undefined || kind === "absent") return "absent";
    if (kind !== "directory" || this.#mountAt(path) !== undefined) return "foreign";
    return hasVolumeFiles(path) ? "ours" : "absent";
  }

  async rejectionReason(targetPath: string): Promise<string | undefined> {
    const { path } = await this.#find(targetPath);
    return path === undefined ? missingParentReason(targetPath) : undefined;
  }

  async publish(targetPath: string, files: VolumeFiles, signal: AbortSignal): Promise<void> {
    if (await this.state(targetPath) === "ours") return await this.replace(targetPath, files);
    await using undo = new AsyncDisposableStack();
    const path = await createTarget(this.#options.disk, targetPath, undo);
    await this.#eventLoop.acquire();
    // The disk may have answered long after the call ended. Nothing is awaited from here on.
    signal.throwIfAborted();
    this.#rejectMount(path);
    this.#checkFileSystem(path);
    using directory = this.#options.libc.openDirectory(path);
    // The pod sees this very directory, so its users need to enter it.
    directory.setMode(0o755);
    replaceFiles(directory, files);
    undo.move();
  }

  async replace(targetPath: string, files: VolumeFiles): Promise<void> {
    const found = await this.#find(targetPath);
    if (found.path === undefined || this.#stateOf(found) !== "ours") {
      throw new Error(`no volume of this driver is at target path ${targetPath}`);
    }
    this.#checkFileSystem(found.path);
    using directory = this.#options.libc.openDirectory(found.path);
    replaceFiles(directory, files);
  }

  async read(targetPath: string, names: readonly string[]): Promise<(string | undefined)[]> {
    const found = await this.#find(targetPath);
    if (found.path === undefined || this.#stateOf(found) !== "ours") {
      return names.map(() => undefined);
    }
    using directory = this.#options.libc.openDirectory(found.path);
    return readFiles(directory, names);
  }

  /** With what the pod wrote into its volume: the directory is the volume, and the kubelet waits for its end. */
  async unpublish(targetPath: string): Promise<void> {
    const { path, kind } = await this.#find(targetPath);
    if (path === undefined) return;
    this.#rejectMount(path);
    if (kind === "absent") return;
    requireDirectory(path);
    removeTarget(this.#options.libc, path);
  }

  /** Nothing is mounted here. */
  mounted(): string[] {
    return [];
  }

  [Symbol.dispose](): void {
    this.#options.mounts[Symbol.dispose]();
  }

  #mountAt(path: string): MountOrigin | undefined {
    return this.#options.mounts.at(path);
  }

  #rejectMount(path: string): void {
    const mount = this.#mountAt(path);
    if (mount !== undefined) throw foreignMountError(path, mount);
  }

  #checkFileSystem(path: string): void {
    if (memoryFileSystems.has(statfsSync(path).type)) return;
    if (!this.#options.allowKeysOnDisk) {
      throw new Error(
        `mounting is not permitted here, and target path ${path} is not on a tmpfs, so the ` +
          `private key would be written to disk; run the driver privileged, or set ` +
          `ALLOW_KEYS_ON_DISK=true to accept that`,
      );
    }
    this.#options.onWarning(
      `the private key of the volume at ${path} is written to disk (ALLOW_KEYS_ON_DISK)`,
    );
  }
}
