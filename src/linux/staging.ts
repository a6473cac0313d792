import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { SystemCallError } from "./errno.ts";
import { type Libc, mountFlags } from "./libc.ts";
import { findMount, parseMountinfo } from "./mountinfo.ts";
import type { Mount } from "./mountinfo.ts";

/** The source name of all our mounts, by which mountinfo shows that they are ours. */
export const mountSource = "csi.k8s.cert-driver";

const hardened = mountFlags.noSuid | mountFlags.noDev | mountFlags.noExec;

/** Room for two generations of the files of a volume; a trust bundle of some 400 KiB still fits. */
const volumeOptions = "mode=0755,size=1m,nr_inodes=64";

export function isOurs(mount: Mount): boolean {
  return mount.fileSystem === "tmpfs" && mount.source === mountSource;
}

/** Every mount that this program sees. */
export function readMounts(libc: Libc): Mount[] {
  return parseMountinfo(readMountinfo(libc));
}

/**
 * The mount that this program sees at a path, or undefined when none begins there. Most often none does, and the kernel
 * says so at once: its whole table takes milliseconds to read on a node full of pods.
 */
export function mountSeenAt(libc: Libc, path: string): Mount | undefined {
  if (libc.isMountPoint(path) === false) return undefined;
  return findMount(readMountinfo(libc), path);
}

/**
 * Kernels before 5.8 drop lines while other mounts come and go, so two readings have to agree there; on a node that is
 * busy all the time the last one counts.
 */
function readMountinfo(libc: Libc): string {
  const read = () => libc.readText("/proc/self/mountinfo");
  let text = read();
  for (let attempts = 0; dropsLines(libc) && attempts < 3; attempts += 1) {
    const before = text;
    text = read();
    if (text === before) break;
  }
  return text;
}

/** Asked once: a reading of the whole table takes milliseconds on a node full of pods. */
const dropping = new WeakMap<Libc, boolean>();

function dropsLines(libc: Libc): boolean {
  let drops = dropping.get(libc);
  if (drops === undefined) {
    const [major = 0, minor = 0] = libc.readText("/proc/sys/kernel/osrelease").split(".").map(
      Number,
    );
    drops = !(major > 5 || (major === 5 && minor >= 8));
    dropping.set(libc, drops);
  }
  return drops;
}

/** Unmounts a path, lazily when something still looks at it. */
export function unmountOrDetach(libc: Libc, path: string): void {
  try {
    libc.unmount(path);
  } catch (error) {
    if (!isBusy(error)) throw error;
    libc.unmount(path, { detach: true });
  }
}

function isBusy(error: unknown): boolean {
  return error instanceof SystemCallError && error.code === "EBUSY";
}

/**
 * A mount stays writable while a file is open for writing (mount(2)), and a file that was closed counts as open for as
 * long as another process looks at it, through /proc/PID/fd say: mostly for less than one of these milliseconds.
 */
const sealAttempts = 50;
const pause = new Int32Array(new SharedArrayBuffer(4));

/**
 * A corner of the mount table that nobody else sees, in which volumes are written.
 *
 * A mount appears in every peer of the mount that it is put on. So the rooms lie on a tmpfs of their own that is made
 * private before anything is mounted on it. It stays until disposed: for each unmount the kernel waits until no
 * processor looks at the old table any more, which takes longer than all the rest of a publish.
 */
export class Staging implements Disposable {
  readonly #libc: Libc;
  readonly #directory: string;
  #mounted = false;
  #swapOption = ",noswap";

  constructor(libc: Libc, directory: string) {
    this.#libc = libc;
    this.#directory = directory;
  }

  /** Removes what a killed driver left; its rooms go with the mount that they lie on. */
  clean(): void {
    for (;;) {
      const top = mountSeenAt(this.#libc, this.#directory);
      if (top === undefined || !isOurs(top)) return;
      this.#libc.unmount(this.#directory, { detach: true });
    }
  }

  /** A new empty directory that can be mounted on; disposing unmounts and removes it. */
  room(): Room {
    if (!this.#isMounted()) this.#mount();
    const path = join(this.#directory, randomBytes(8).toString("hex"));
    Deno.mkdirSync(path, { mode: 0o700 });
    return new Room(this.#libc, path, () => this.#mountVolume(path));
  }

  [Symbol.dispose](): void {
    if (!this.#mounted) return;
    this.#mounted = false;
    unmountOrDetach(this.#libc, this.#directory);
  }

  /** Somebody may have unmounted it; a room on what lies below would be seen by others. */
  #isMounted(): boolean {
    return this.#mounted && (this.#libc.isMountPoint(this.#directory) ??
      mountSeenAt(this.#libc, this.#directory) !== undefined);
  }

  #mount(): void {
    const target = this.#directory;
    this.#libc.mount({
      source: mountSource,
      target,
      fileSystem: "tmpfs",
      flags: hardened,
      options: "mode=0700,size=64k",
    });
    try {
      this.#libc.mount({ target, flags: mountFlags.private });
    } catch (error) {
      unmountOrDetach(this.#libc, target);
      throw error;
    }
    this.#mounted = true;
  }

  #mountVolume(target: string): void {
    const request = { source: mountSource, target, fileSystem: "tmpfs", flags: hardened };
    try {
      this.#libc.mount({ ...request, options: volumeOptions + this.#swapOption });
    } catch (error) {
      if (!(error instanceof SystemCallError && error.code === "EINVAL")) throw error;
      // Kernels before 6.4 do not know noswap.
      this.#libc.mount({ ...request, options: volumeOptions });
      this.#swapOption = "";
    }
  }
}

/** A place in the staging area for one operation; holds at most one mount. */
class Room implements Disposable {
  readonly path: string;
  readonly #libc: Libc;
  readonly #mountVolume: () => void;
  #mounted = false;

  constructor(libc: Libc, path: string, mountVolume: () => void) {
    this.#libc = libc;
    this.path = path;
    this.#mountVolume = mountVolume;
  }

  /** Mounts a new, writable tmpfs here. */
  mountTmpfs(): void {
    this.#mountVolume();
    this.#mounted = true;
  }

  /** Shows a published volume here, writable, while it stays read-only where it is; throws if it is not ours. */
  bindWritable(path: string): void {
    this.#libc.mount({ source: path, target: this.path, flags: mountFlags.bind });
    this.#mounted = true;
    this.#libc.mount({ target: this.path, flags: mountFlags.private });
    const bound = mountSeenAt(this.#libc, this.path);
    if (bound === undefined || !isOurs(bound)) {
      throw new Error(`the mount at ${path} is not one of this driver; it is left alone`);
    }
    this.#remount(0);
  }

  /** From here on this mount, and each copy that the kernel makes of it, is read-only. */
  seal(): void {
    for (let attempt = 1;; attempt += 1) {
      try {
        return this.#remount(mountFlags.readOnly);
      } catch (error) {
        if (!isBusy(error) || attempt === sealAttempts) throw error;
        Atomics.wait(pause, 0, 0, 1);
      }
    }
  }

  /** Takes the mount from here to its place, whole; nothing is left to unmount. */
  moveTo(target: string): void {
    this.#libc.mount({ source: this.path, target, flags: mountFlags.move });
    this.#mounted = false;
  }

  #remount(flag: number): void {
    const flags = mountFlags.remount | mountFlags.bind | hardened | flag;
    this.#libc.mount({ target: this.path, flags });
  }

  [Symbol.dispose](): void {
    if (this.#mounted) unmountOrDetach(this.#libc, this.path);
    Deno.removeSync(this.path);
  }
}
