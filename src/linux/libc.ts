/** The few calls into the C library that Deno has no function for. */
import { Buffer } from "node:buffer";

/** Where the C library may lie; `--allow-ffi` has to list these very paths, for a bare name is refused. */
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
export const unmountFlags = { detach: 0x2, noFollow: 0x8 } as const;

const O_CLOEXEC = 0o2000000;
const PR_SET_DUMPABLE = 4;
const POLLPRI = 2;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_ATTR_MOUNT_ROOT = 0x2000;
/** Where struct statx has its attributes, and which of them the kernel knows; both lie in a word's low half. */
const statx = { size: 256, attributes: 8, known: 56 } as const;
const READ_SIZE = 64 * 1024;

/** The mounts that this process sees; the one file here that tells of its changes. */
const mountTable = "/proc/self/mountinfo";

const symbols = {
  mount: { parameters: ["buffer", "buffer", "buffer", "usize", "buffer"], result: "i32" },
  umount2: { parameters: ["buffer", "i32"], result: "i32" },
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  prctl: { parameters: ["i32", "usize", "usize", "usize", "usize"], result: "i32" },
  setrlimit: { parameters: ["i32", "buffer"], result: "i32" },
  memcpy: { parameters: ["buffer", "pointer", "usize"], result: "pointer" },
  __errno_location: { parameters: [], result: "pointer" },
} as const satisfies Deno.ForeignLibraryInterface;

const errorNames: ReadonlyMap<number, string> = new Map([
  [1, "EPERM"],
  [2, "ENOENT"],
  [4, "EINTR"],
  [12, "ENOMEM"],
  [13, "EACCES"],
  [16, "EBUSY"],
  [19, "ENODEV"],
  [20, "ENOTDIR"],
  [22, "EINVAL"],
  [28, "ENOSPC"],
  [30, "EROFS"],
  [38, "ENOSYS"],
  [40, "ELOOP"],
]);

/** A call that the kernel refused; `code` is the errno's name. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  readonly code: string;

  constructor(call: string, code: string) {
    super(`${call}: ${code}`);
    this.code = code;
  }
}

/** What mount(2) is asked for; everything but the target may be left out, as the call in question allows. */
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
  /** Whether a mount begins at a path, links not followed; undefined where the kernel does not say (before 5.8). */
  isMountPoint(path: string): boolean | undefined;
  /** A whole file of the kernel's, which Deno's own permissions keep closed (/proc). */
  readText(path: string): string;
  /** Soft and hard limit together; `resource` is an RLIMIT_ number. */
  setResourceLimit(resource: number, value: number): void;
  setDumpable(dumpable: boolean): void;
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
  #mounts: { readonly descriptor: number; readonly text: string } | undefined;

  constructor(library: Deno.DynamicLibrary<typeof symbols>) {
    this.#library = library;
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
    this.#check(result, `mount ${target}`);
  }

  unmount(path: string, options = { detach: false }): void {
    const flags = unmountFlags.noFollow | (options.detach ? unmountFlags.detach : 0);
    this.#check(this.#library.symbols.umount2(cString(path), flags), `unmount ${path}`);
  }

  isMountPoint(path: string): boolean | undefined {
    const found = new Uint8Array(statx.size);
    const flags = AT_SYMLINK_NOFOLLOW;
    if (this.#library.symbols.statx(AT_FDCWD, cString(path), flags, 0, found) < 0) return undefined;
    const view = new DataView(found.buffer);
    const [known, attributes] = [statx.known, statx.attributes].map((at) =>
      view.getUint32(at, true)
    );
    if (((known ?? 0) & STATX_ATTR_MOUNT_ROOT) === 0) return undefined;
    return ((attributes ?? 0) & STATX_ATTR_MOUNT_ROOT) !== 0;
  }

  readText(path: string): string {
    return path === mountTable ? this.#readMountTable() : this.#readOnce(path);
  }

  /** The kernel writes the table anew for each reader, so it is read again only when it has changed. */
  #readMountTable(): string {
    const { open, lseek } = this.#library.symbols;
    const known = this.#mounts;
    if (known !== undefined && !this.#tellsOfChange(known.descriptor)) return known.text;
    const descriptor = known?.descriptor ??
      this.#check(open(cString(mountTable), O_CLOEXEC), `open ${mountTable}`);
    // A change from here on is told of at the next look.
    lseek(descriptor, 0n, 0);
    this.#mounts = { descriptor, text: "" };
    const text = this.#readAll(descriptor, mountTable);
    this.#mounts = { descriptor, text };
    return text;
  }

  /** Whether mounts came or went since this was asked before, or since the table was opened: proc(5). */
  #tellsOfChange(descriptor: number): boolean {
    const request = new ArrayBuffer(8);
    const view = new DataView(request);
    view.setInt32(0, descriptor, true);
    view.setInt16(4, POLLPRI, true);
    const result = this.#library.symbols.poll(new Uint8Array(request), 1n, 0);
    // An empty text is left by a reading that failed.
    return result !== 0 || this.#mounts?.text === "";
  }

  #readOnce(path: string): string {
    const { open, close } = this.#library.symbols;
    const descriptor = this.#check(open(cString(path), O_CLOEXEC), `open ${path}`);
    try {
      return this.#readAll(descriptor, path);
    } finally {
      close(descriptor);
    }
  }

  #readAll(descriptor: number, path: string): string {
    const buffer = new Uint8Array(READ_SIZE);
    const parts: Uint8Array[] = [];
    for (;;) {
      const length = Number(this.#library.symbols.read(descriptor, buffer, BigInt(buffer.length)));
      if (length < 0 && this.#errorName() === "EINTR") continue;
      this.#check(length, `read ${path}`);
      // Decoded in one piece: V8 takes long to compare texts that were put together.
      if (length === 0) return new TextDecoder().decode(Buffer.concat(parts));
      parts.push(buffer.slice(0, length));
    }
  }

  setResourceLimit(resource: number, value: number): void {
    const limits = new BigUint64Array([BigInt(value), BigInt(value)]);
    this.#check(this.#library.symbols.setrlimit(resource, limits), `setrlimit ${resource}`);
  }

  setDumpable(dumpable: boolean): void {
    const result = this.#library.symbols.prctl(PR_SET_DUMPABLE, dumpable ? 1n : 0n, 0n, 0n, 0n);
    this.#check(result, "prctl PR_SET_DUMPABLE");
  }

  [Symbol.dispose](): void {
    if (this.#mounts) this.#library.symbols.close(this.#mounts.descriptor);
    this.#library.close();
  }

  #check(result: number, call: string): number {
    if (result < 0) throw new SystemCallError(call, this.#errorName());
    return result;
  }

  /** Copies errno, since scoped FFI permissions forbid looking through a pointer. */
  #errorName(): string {
    const { memcpy, __errno_location } = this.#library.symbols;
    const errno = new Int32Array(1);
    memcpy(errno, __errno_location(), 4n);
    const number = errno[0] ?? 0;
    return errorNames.get(number) ?? `errno ${number}`;
  }
}

function cString(text: string): Uint8Array<ArrayBuffer>;
function cString(text: string | undefined): Uint8Array<ArrayBuffer> | null;
function cString(text: string | undefined): Uint8Array<ArrayBuffer> | null {
  if (text === undefined) return null;
  if (text.includes("\0")) throw new TypeError("a path for the kernel must not contain a NUL");
  return new TextEncoder().encode(`${text}\0`);
}
