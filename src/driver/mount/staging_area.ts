import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { SystemCallError } from "../../shared/linux/errno.ts";
import { type Libc, mountFlags } from "../../shared/linux/libc.ts";
import type { VolumeFiles } from "../volume/mounter.ts";
import { replaceFiles } from "./atomic_directory.ts";
import { isBusy, isOwnMount, type MountTable } from "./mount_table.ts";

const hardened = mountFlags.noSuid | mountFlags.noDev | mountFlags.noExec;

/** Space for the current files of a volume, and for the next or the previous ones; a trust bundle of some 400 KiB fits. */
const volumeOptions = "mode=0755,size=1m,nr_inodes=64";

/**
 * A mount remains writable while a file is open for writing (mount(2)), and a file that was closed counts as open for as
 * long as another process examines it, for example through /proc/PID/fd: mostly for less than one of these milliseconds.
 */
const makeReadOnlyAttempts = 50;
const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * A part of the mount table that no other process sees, in which volumes are written.
 *
 * A mount appears in every peer of the mount that it is put on. So the directories are on a tmpfs of their own that is made
 * private before anything is mounted on it. It remains until disposed: for each unmount the kernel waits until no
 * processor uses the old table any more, which takes longer than all the rest of a publish.
 *
 * All of it is in memory, also the path that leads to it while it is mounted: no disk keeps a call waiting.
 */
export class StagingArea implements Disposable {
  readonly #libc: Libc;
  readonly #mounts: MountTable;
  readonly #directory: string;
  #mounted = false;
  /** Whether a volume was mounted with noswap. */
  #hasNoSwap = false;
  #contextOption = "";

  constructor(libc: Libc, mounts: MountTable, directory: string) {
    this.#libc = libc;
    this.#mounts = mounts;
    this.#directory = directory;
  }

  /** Removes what a killed driver left; its directories disappear with the mount that contains them. */
  clean(): void {
    for (;;) {
      const top = this.#mounts.at(this.#directory);
      if (top === undefined || !isOwnMount(top)) return;
      this.#mounts.unmount(this.#directory);
    }
  }

  /** Why a key may reach a disk; undefined where the kernel keeps volumes out of swap space, or has none. */
  get swapProblem(): string | undefined {
    if (this.#hasNoSwap || !hasSwap(this.#libc)) return undefined;
    return "this kernel cannot keep a tmpfs out of swap space (noswap, Linux 6.4 or later), and swap " +
      "is on: private keys may be written to it; switch swap off, encrypt it, or update the kernel";
  }

  /** A new empty directory that can be mounted on; disposing unmounts and removes it. */
  createDirectory(): StagingDirectory {
    if (!this.#isMounted()) this.#mount();
    const path = join(this.#directory, randomBytes(8).toString("hex"));
    Deno.mkdirSync(path, { mode: 0o700 });
    return new StagingDirectory(this.#libc, this.#mounts, path, () => this.#mountVolume(path));
  }

  /** Whether SELinux labels the files of a tmpfs here, as it does where it is enabled and no context was given. */
  hasSelinuxLabels(): boolean {
    const own = this.#mounts.all().findLast(({ mountPoint }) => mountPoint === this.#directory);
    return own?.superOptions.includes("seclabel") ?? false;
  }

  /** Mounts the next volumes with this context for all of their files. */
  setSelinuxContext(context: string | undefined): void {
    this.#contextOption = context === undefined ? "" : `,context="${context}"`;
  }

  [Symbol.dispose](): void {
    if (!this.#mounted) return;
    this.#mounted = false;
    this.#mounts.unmount(this.#directory);
  }

  /** Whether it is still mounted: if another process unmounted it, a new directory would be visible to others. */
  #isMounted(): boolean {
    return this.#mounted && this.#mounts.beginsAt(this.#directory);
  }

  #mount(): void {
    const target = this.#directory;
    this.#mounts.mountOurs({ target, flags: hardened, options: "mode=0700,size=64k" });
    try {
      this.#libc.mount({ target, flags: mountFlags.private });
    } catch (error) {
      this.#mounts.unmount(target);
      throw error;
    }
    this.#mounted = true;
  }

  #mountVolume(target: string): void {
    const request = { target, flags: hardened };
    const options = volumeOptions + this.#contextOption;
    try {
      this.#mounts.mountOurs({ ...request, options: `${options},noswap` });
      this.#hasNoSwap = true;
    } catch (error) {
      // Kernels before 6.4 do not know noswap. Where it was accepted once, the error has another cause.
      const isUnknown = error instanceof SystemCallError && error.code === "EINVAL";
      if (!isUnknown || this.#hasNoSwap) throw error;
      this.#mounts.mountOurs({ ...request, options });
    }
  }
}

/** Whether the machine has swap space; a kernel without swap has no such file. */
function hasSwap(libc: Libc): boolean {
  try {
    const [, ...areas] = libc.readText("/proc/swaps").trimEnd().split("\n");
    return areas.length > 0;
  } catch {
    return false;
  }
}

/** A directory of the staging area for one operation; at most one mount begins at it. */
class StagingDirectory implements Disposable {
  readonly path: string;
  readonly #libc: Libc;
  readonly #mounts: MountTable;
  readonly #mountVolume: () => void;
  #mounted = false;

  constructor(libc: Libc, mounts: MountTable, path: string, mountVolume: () => void) {
    this.#libc = libc;
    this.#mounts = mounts;
    this.path = path;
    this.#mountVolume = mountVolume;
  }

  /** Mounts a new, writable tmpfs here. */
  mountTmpfs(): void {
    this.#mountVolume();
    this.#mounted = true;
  }

  /** Swaps the files of what is mounted here; they are closed before the mount becomes read-only. */
  replaceFiles(files: VolumeFiles): void {
    using directory = this.#libc.openDirectory(this.path);
    replaceFiles(directory, files);
  }

  /** Binds a published volume here, writable, while it remains read-only at its target; throws if it is not ours. */
  bindWritable(path: string): void {
    this.#mounts.bind(path, this.path);
    this.#mounted = true;
    this.#libc.mount({ target: this.path, flags: mountFlags.private });
    const bound = this.#mounts.at(this.path);
    if (bound === undefined || !isOwnMount(bound)) {
      throw new Error(`the mount at ${path} is not one of this driver; it is left alone`);
    }
    this.#remount(0);
  }

  /** Makes this mount, and each copy that the kernel makes of it later, read-only. */
  makeReadOnly(): void {
    for (let attempt = 1;; attempt += 1) {
      try {
        return this.#remount(mountFlags.readOnly);
      } catch (error) {
        if (!isBusy(error) || attempt === makeReadOnlyAttempts) throw error;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
  }

  /** Moves the mount from here to the target. */
  moveTo(target: string): void {
    this.#libc.mount({ source: this.path, target, flags: mountFlags.move });
    this.#mounted = false;
  }

  #remount(flag: number): void {
    const flags = mountFlags.remount | mountFlags.bind | hardened | flag;
    this.#libc.mount({ target: this.path, flags });
  }

  [Symbol.dispose](): void {
    if (this.#mounted) this.#mounts.unmount(this.path);
    Deno.removeSync(this.path);
  }
}
