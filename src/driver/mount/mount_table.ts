import { SystemCallError } from "../../shared/linux/errno.ts";
import type { Libc } from "../../shared/linux/libc.ts";
import { mountinfoPath } from "../../shared/linux/proc_files.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { MountIndex, type MountinfoEntry } from "./mountinfo.ts";

/** What a mount shows; it remains the same wherever the mount is moved. */
export type MountOrigin = Pick<MountinfoEntry, "fileSystem" | "source">;

/** Every mount of this driver is a tmpfs whose source is the driver's name. */
export const ownOrigin: MountOrigin = { fileSystem: "tmpfs", source: driverName };

/** The one rule for whether a mount is ours; no other place remembers or decides it. */
export function isOwnMount(mount: MountOrigin): boolean {
  return mount.fileSystem === ownOrigin.fileSystem && mount.source === ownOrigin.source;
}

export function isBusy(error: unknown): boolean {
  return error instanceof SystemCallError && error.code === "EBUSY";
}

/**
 * The mounts that this program sees.
 *
 * The kernel's table is read again only when the kernel reports that it has changed: to read and parse 1,000 mounts takes
 * 2 ms, and a driver that starts with 1,000 volumes looks up each of them.
 */
export class MountTable implements Disposable {
  readonly #libc: Libc;
  #index: MountIndex | undefined;
  #dropsLines: boolean | undefined;

  /** Owns `libc`. */
  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Every mount. */
  all(): readonly MountinfoEntry[] {
    return this.#current().all;
  }

  /** The mount that is visible at a path; undefined when none begins there, the usual case. */
  at(path: string): MountinfoEntry | undefined {
    return this.#libc.isMountPoint(path) === false ? undefined : this.#current().at(path);
  }

  /** Whether a mount begins at a path. */
  beginsAt(path: string): boolean {
    return this.#libc.isMountPoint(path) ?? this.at(path) !== undefined;
  }

  /** Unmounts what is visible at a path, lazily while a process uses it; throws a SystemCallError. */
  unmount(path: string): void {
    try {
      this.#libc.unmount(path);
    } catch (error) {
      if (!isBusy(error)) throw error;
      this.#libc.unmount(path, { detach: true });
    }
  }

  #current(): MountIndex {
    // First asked, then read: a change in between is reported the next time.
    if (this.#libc.mountsChanged()) this.#index = undefined;
    return this.#index ??= new MountIndex(this.#readTable());
  }

  /**
   * Kernels before 5.8 drop lines while other mounts are added and removed, so two readings have to agree there; on a
   * node that is busy all the time the last one counts.
   */
  #readTable(): string {
    let text = this.#libc.readText(mountinfoPath);
    this.#dropsLines ??= dropsLines(this.#libc.readText("/proc/sys/kernel/osrelease"));
    for (let attempts = 0; this.#dropsLines && attempts < 3; attempts += 1) {
      const before = text;
      text = this.#libc.readText(mountinfoPath);
      if (text === before) break;
    }
    return text;
  }

  [Symbol.dispose](): void {
    this.#libc[Symbol.dispose]();
  }
}

function dropsLines(release: string): boolean {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return !(major > 5 || (major === 5 && minor >= 8));
}
