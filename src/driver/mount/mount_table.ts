import { SystemCallError } from "../../shared/linux/errno.ts";
import { type Libc, mountFlags, type MountRequest } from "../../shared/linux/libc.ts";
import { findMount, type MountinfoEntry, parseMountinfo } from "./mountinfo.ts";
import { mountinfoPath } from "../../shared/linux/proc_files.ts";
import type { PathMount } from "../../shared/linux/statx.ts";
import { driverName } from "../../shared/text/product_names.ts";

/** The source name of all our mounts, by which mountinfo shows that they are ours. */
export const mountSource = driverName;

/** What a mount shows; it stays as it is wherever the mount is moved. */
export type MountOrigin = Pick<MountinfoEntry, "fileSystem" | "source">;

const ownOrigin: MountOrigin = { fileSystem: "tmpfs", source: mountSource };

export function isOwnMount(mount: MountOrigin): boolean {
  return mount.fileSystem === ownOrigin.fileSystem && mount.source === ownOrigin.source;
}

export function isBusy(error: unknown): boolean {
  return error instanceof SystemCallError && error.code === "EBUSY";
}

/** Several times the volumes of a full node; ids accumulate only where other programs unmount our mounts. */
const mostRemembered = 4096;

/**
 * The mounts that this program sees, makes and unmounts.
 *
 * Each mount and unmount changes the kernel's table, which takes milliseconds to read on a node full of pods. So the ids
 * of mounts once known to be ours are remembered. An id belongs to one mount only (statx(2), STATX_MNT_ID_UNIQUE), and a
 * mount shows one file system for as long as it lives: what is remembered cannot become untrue. Whatever is not
 * remembered is looked up in the table: before Linux 6.8, which gives no such ids, everything.
 */
export class MountTable implements Disposable {
  readonly #libc: Libc;
  /** In the order in which they became known. */
  readonly #ourIds = new Set<bigint>();
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
    const mount = findMount(this.#readTable(), path);
    // Another mount may have come to the path since. What is true of this one is true of all that show its file system.
    if (mount && isOwnMount(mount) && place?.device === mount.device) this.#addOwn(place);
    return mount;
  }

  /** Whether a mount begins at a path. */
  beginsAt(path: string): boolean {
    return this.#libc.statx(path)?.isMountPoint ?? this.at(path) !== undefined;
  }

  /** Throws a SystemCallError, as each of the following does. */
  mount(request: MountRequest): void {
    this.#libc.mount(request);
  }

  /** Mounts a new tmpfs of ours at a place where no other program mounts. */
  mountOurs(request: Pick<MountRequest, "target" | "flags" | "options">): void {
    this.#libc.mount({ ...request, ...ownOrigin });
    this.#addOwn(this.#libc.statx(request.target));
  }

  /** Shows what is mounted at `source` at `target` too. */
  bind(source: string, target: string): void {
    this.#libc.mount({ source, target, flags: mountFlags.bind });
    // Another mount may have come to the source just before. While a mount of ours lives, whatever has the number of
    // its file system shows that one; the source is looked at last, so that it lived when the copy was looked at.
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
   * Kernels before 5.8 drop lines while other mounts come and go, so two readings have to agree there; on a node that is
   * busy all the time the last one counts.
   */
  #readTable(): string {
    let text = this.#libc.readText(mountinfoPath);
    // Read once.
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
