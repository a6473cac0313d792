/**
 * This folder calls the C library where Deno has no function, and reads files without following
 * links. Its main types are `Libc`, `Directory`, `ProcFileReader` and `SystemCallError`. It never knows what a
 * volume is, and never makes a nonblocking call whose errno it reads, because errno belongs to the
 * calling thread.
 */

import { cString } from "./c_string.ts";
import { Directory, directorySymbols } from "./directory.ts";
import { Errno, errnoSymbols } from "./errno.ts";
import { ProcFileReader, procFileSymbols } from "./proc_files.ts";
import { type PathMount, readStatx, statxRequest } from "./statx.ts";

/** The paths that the C library can have; `--allow-ffi` has to list these very paths, for a bare name is refused. */
export const libcPaths: readonly string[] = [
  "/lib/x86_64-linux-gnu/libc.so.6",
  "/lib/aarch64-linux-gnu/libc.so.6",
  "/lib64/libc.so.6",
  "/usr/lib/libc.so.6",
];

/** Flags of mount(2) and umount2(2), named as in <sys/mount.h>. */
export const mountFlags = {
  readOnly: 0x1,
  noSuid: 0x2,
  noDev: 0x4,
  noExec: 0x8,
  remount: 0x20,
  bind: 0x1000,
  move: 0x2000,
  private: 0x40000,
} as const;
const unmountFlags = { detach: 0x2, noFollow: 0x8 } as const;

const PR_SET_DUMPABLE = 4;
const SIG_IGN = 1n;
const SIG_ERR = 2n ** 64n - 1n;
const CLOCK_BOOTTIME = 7;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;

const symbols = {
  mount: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
  prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  signal: { parameters: ["i32", "usize"], result: "usize" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  ...directorySymbols,
  ...procFileSymbols,
  ...errnoSymbols,
} as const satisfies Deno.ForeignLibraryInterface;

/** The arguments of mount(2); the operation decides which of them, other than the target, are needed. */
export interface MountRequest {
  readonly source?: string;
  readonly target: string;
  readonly fileSystem?: string;
  readonly flags: number;
  readonly options?: string;
}

/** The calls we make; each throws a SystemCallError when the kernel refuses. */
export interface Libc extends Disposable {
  mount(request: MountRequest): void;
  /** Never follows a link at the path. */
  unmount(path: string, options?: { detach: boolean }): void;
  /** A path and the mount that it leads to, a link at the path not followed; undefined where the kernel does not report it. */
  statx(path: string): PathMount | undefined;
  /** Opens a directory, a link at the path not followed; to be closed before the C library is. */
  openDirectory(path: string): Directory;
  /** A whole file of the kernel, such as in /proc, which Deno's permissions do not allow to read. */
  readText(path: string): string;
  /** Soft and hard limit together; `resource` is an RLIMIT_ number. */
  setResourceLimit(resource: number, value: number): void;
  setDumpable(dumpable: boolean): void;
  /** Lets the process ignore a signal, in all its threads. */
  ignoreSignal(signal: number): void;
  /** Milliseconds since the machine booted, those of a suspend included. */
  timeSinceBootMs(): number;
}

/** Opens the C library, or throws an Error that lists where it was looked for. */
export function openLibc(): Libc {
  const path = libcPaths.find(exists);
  if (path === undefined) {
    throw new Error(`no C library found; looked for ${libcPaths.join(", ")}`);
  }
  return new DynamicLibc(Deno.dlopen(path, symbols));
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

class DynamicLibc implements Libc {
  readonly #library: Deno.DynamicLibrary<typeof symbols>;
  readonly #errno: Errno;
  readonly #files: ProcFileReader;

  constructor(library: Deno.DynamicLibrary<typeof symbols>) {
    this.#library = library;
    this.#errno = new Errno(library.symbols);
    this.#files = new ProcFileReader(library.symbols, this.#errno);
  }

  // Every call is synchronous: errno belongs to the thread, and is lost from a nonblocking one.
  mount({ source, target, fileSystem, flags, options }: MountRequest): void {
    const result = this.#library.symbols.mount(
      cString(source),
      cString(target),
      cString(fileSystem),
      BigInt(flags),
      cString(options),
    );
    this.#errno.check(result, `mount ${target}`);
  }

  unmount(path: string, options = { detach: false }): void {
    const flags = unmountFlags.noFollow | (options.detach ? unmountFlags.detach : 0);
    this.#errno.check(this.#library.symbols.umount2(cString(path), flags), `unmount ${path}`);
  }

  statx(path: string): PathMount | undefined {
    const { mask, size } = statxRequest;
    const answer = new Uint8Array(size);
    const { statx } = this.#library.symbols;
    const result = statx(AT_FDCWD, cString(path), AT_SYMLINK_NOFOLLOW, mask, answer);
    return result < 0 ? undefined : readStatx(answer);
  }

  openDirectory(path: string): Directory {
    return Directory.open(this.#library.symbols, this.#errno, path);
  }

  readText(path: string): string {
    return this.#files.read(path);
  }

  setResourceLimit(resource: number, value: number): void {
    const limits = new BigUint64Array([BigInt(value), BigInt(value)]);
    this.#errno.check(this.#library.symbols.setrlimit(resource, limits), `setrlimit ${resource}`);
  }

  setDumpable(dumpable: boolean): void {
    const result = this.#library.symbols.prctl(PR_SET_DUMPABLE, dumpable ? 1n : 0n, 0n, 0n, 0n);
    this.#errno.check(result, "prctl PR_SET_DUMPABLE");
  }

  ignoreSignal(signal: number): void {
    const previous = BigInt(this.#library.symbols.signal(signal, SIG_IGN));
    this.#errno.check(previous === SIG_ERR ? -1 : 0, `signal ${signal}`);
  }

  timeSinceBootMs(): number {
    // A timespec: seconds and nanoseconds, 64 bits each.
    const time = new BigInt64Array(2);
    const result = this.#library.symbols.clock_gettime(CLOCK_BOOTTIME, time);
    this.#errno.check(result, "clock_gettime CLOCK_BOOTTIME");
    const [seconds = 0n, nanoseconds = 0n] = time;
    return Number(seconds) * 1000 + Number(nanoseconds) / 1e6;
  }

  [Symbol.dispose](): void {
    this.#library.close();
  }
}
