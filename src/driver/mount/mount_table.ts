import { SystemCallError } from "../../shared/linux/errno.ts";
import { type Libc, mountFlags, type MountRequest } from "../../shared/linux/libc.ts";
import { mountinfoPath } from "../../shared/linux/proc_files.ts";
import type { PathMount } from "../../shared/linux/statx.ts";
import { driverName } from "../../shared/text/product_names.ts";
import { mountAt, type MountinfoEntry, mountOf, parseMountinfo } from "./mountinfo.ts";

/** What a mount shows; it remains the same wherever the mount is moved. */
export type MountOrigin = Pick<MountinfoEntry, "fileSystem" | "source">;

/** Every mount of this driver is a tmpfs whose source is the driver's name. */
const ownOrigin: MountOrigin = { fileSystem: "tmpfs", source: driverName };

/** The one rule for whether a mount is ours; only MountTable remembers its answer. */
export function isOwnMount(mount: MountOrigin): boolean {
  return mount.fileSystem === ownOrigin.fileSystem && mount.source === ownOrigin.source;
}

export function isBusy(error: unknown): boolean {
  return error instanceof SystemCallError && error.code === "EBUSY";
}

/** Several times the volumes of a full node; ids accumulate only where other programs unmount our mounts. */
const mostRemembered = 4096;

/**
 * The mounts that this program sees.
 *
 * To read the kernel's table takes 3 ms on a node with 1,000 mounts, and each mount and unmount changes it: without a memory
 * a swap of one volume's files takes 37 ms there instead of 1 ms. So the ids of mounts once known to be ours are
 * remembered. An id belongs to one mount only (statx(2), STATX_MNT_ID_UNIQUE), and a mount shows one file system for its
 * whole life: what is remembered cannot become untrue. Whatever is not remembered is looked up in the table: before Linux
 * 6.8, which reports no such ids, everything.
 */
export class MountTable implements Disposable {
  readonly #libc: Libc;
  /** In the order in which they became known. */
  readonly #ourIds = new Set<bigint>();
  /** Mounts that were seen to be shared; a node's targets are all on one or two. */
  readonly #sharedIds = new Set<bigint>();
  #dropsLines: boolean | undefined;

  /** Owns `libc`. */
  constructor(libc: Libc) {
    this.#libc = libc;
  }

  /** Every mount. */
  all(): MountinfoEntry[] {
    return parseMountinfo(this.#readTable());
  }

  /** The origin of the mount that is visible at a path; undefined when none begins there, the usual case. */
  at(path: string): MountOrigin | undefined {
    const place = this.#libc.statx(path);
    if (place?.isMountPoint === false) return undefined;
    if (place && this.#isKnownOwn(place)) return ownOrigin;
    const mounts = this.all();
    if (place?.mountId !== undefined) this.#rememberOwn(mounts);
    return mountAt(mounts, path);
  }

  /** Whether a mount begins at a path. */
  beginsAt(path: string): boolean {
    return this.#libc.statx(path)?.isMountPoint ?? this.at(path) !== undefined;
  }

  /** The mount that a directory is on if that mount is not shared, so that no other namespace sees what is mounted there. */
  unsharedMountOf(directory: string): MountinfoEntry | undefined {
    const id = this.#libc.statx(directory)?.mountId;
    if (id !== undefined && this.#sharedIds.has(id)) return undefined;
    const mount = mountOf(this.all(), directory);
    if (mount === undefined || !mount.isShared) return mount;
    if (id !== undefined) this.#sharedIds.add(id);
    return undefined;
  }

  /** Mounts a new tmpfs of ours at a path where no other program mounts; throws a SystemCallError, as the following do. */
  mountOurs(request: Pick<MountRequest, "target" | "flags" | "options">): void {
    this.#libc.mount({ ...request, ...ownOrigin });
    this.#addOwn(this.#libc.statx(request.target));
  }

  /** Shows what is mounted at `source` at `target` too. */
  bind(source: string, target: string): void {
    this.#libc.mount({ source, target, flags: mountFlags.bind });
    // Another program may have mounted at the source just before. While a mount of ours exists, whatever has the number of
    // its file system shows that one; the source is checked last, so that it existed when the copy was checked.
    const copy = this.#libc.statx(target);
    const original = this.#libc.statx(source);
    if (!original || !this.#isKnownOwn(original)) return;
    if (copy?.device === original.device) this.#addOwn(copy);
  }

  /** Unmounts what is visible at a path, lazily while a process uses it. */
  unmount(path: string): void {
    const place = this.#libc.statx(path);
    try {
      this.#libc.unmount(path);
    } catch (error) {
      if (!isBusy(error)) throw error;
      this.#libc.unmount(path, { detach: true });
    }
    if (place?.mountId !== undefined) this.#ourIds.delete(place.mountId);
  }

  /** After a restart one look-up remembers every volume that an earlier driver mounted. */
  #rememberOwn(mounts: readonly MountinfoEntry[]): void {
    for (const { mountPoint, device } of mounts.filter(isOwnMount)) {
      const place = this.#libc.statx(mountPoint);
      // Another program may have mounted at the path since; a mount with the file system of ours is ours.
      if (place?.device === device) this.#addOwn(place);
    }
  }

  #isKnownOwn({ isMountPoint, mountId }: PathMount): boolean {
    return isMountPoint === true && mountId !== undefined && this.#ourIds.has(mountId);
  }

  #addOwn(place: PathMount | undefined): void {
    if (place?.isMountPoint !== true || place.mountId === undefined) return;
    this.#ourIds.add(place.mountId);
    if (this.#ourIds.size <= mostRemembered) return;
    const [oldest = 0n] = this.#ourIds;
    this.#ourIds.delete(oldest);
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
