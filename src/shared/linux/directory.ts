import { cString } from "./c_string.ts";
import { type Errno, SystemCallError } from "./errno.ts";
import type { procFileSymbols } from "./proc_files.ts";
import { type FileStatus, readFileStatus, statxRequest } from "./statx.ts";

export const directorySymbols = {
  openat: { parameters: ["i32", "buffer", "i32", "u32"], result: "i32" },
  mkdirat: { parameters: ["i32", "buffer", "u32"], result: "i32" },
  unlinkat: { parameters: ["i32", "buffer", "i32"], result: "i32" },
  symlinkat: { parameters: ["buffer", "i32", "buffer"], result: "i32" },
  readlinkat: { parameters: ["i32", "buffer", "buffer", "usize"], result: "isize" },
  renameat: { parameters: ["i32", "buffer", "i32", "buffer"], result: "i32" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
  fchown: { parameters: ["i32", "u32", "u32"], result: "i32" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  // The C library has getdents64(2) since 2.30 only.
  syscall: { parameters: ["i64", "i64", "buffer", "usize"], result: "i64" },
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

type Symbols = Deno.StaticForeignLibraryInterface<
  typeof directorySymbols & typeof procFileSymbols
>;

const O_WRONLY = 0o1;
const O_CREAT = 0o100;
const O_EXCL = 0o200;
const O_NONBLOCK = 0o4000;
const O_CLOEXEC = 0o2000000;
/** These two bits are exchanged on aarch64. */
const [O_DIRECTORY, O_NOFOLLOW] = Deno.build.arch === "aarch64"
  ? [0o40000, 0o100000]
  : [0o200000, 0o400000];
const SYS_getdents64 = Deno.build.arch === "aarch64" ? 61n : 217n;
const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;
const UNCHANGED = 0xffffffff;
const dot = 0x2e;

/** An entry's name; as bytes when it was listed, for a name on a disk need not be text. */
export type EntryName = string | Uint8Array<ArrayBuffer>;

/**
 * An open directory (openat(2)). Each name is one path component, and a link is never followed: what another process
 * renames or replaces meanwhile does not lead a call out of the directory. The calls throw a SystemCallError.
 */
export class Directory implements Disposable {
  readonly #symbols: Symbols;
  readonly #errno: Errno;
  readonly #descriptor: number;

  private constructor(symbols: Symbols, errno: Errno, descriptor: number) {
    this.#symbols = symbols;
    this.#errno = errno;
    this.#descriptor = descriptor;
  }

  /** Opens a directory by its path, of which the last component is not followed. */
  static open(symbols: Symbols, errno: Errno, path: EntryName, at = AT_FDCWD): Directory {
    const flags = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const descriptor = symbols.openat(at, cName(path), flags, 0);
    return new Directory(symbols, errno, errno.check(descriptor, `open ${nameText(path)}`));
  }

  openDirectory(name: EntryName): Directory {
    return Directory.open(this.#symbols, this.#errno, name, this.#descriptor);
  }

  /** The names in the directory, each as a C string. */
  *names(): Generator<Uint8Array<ArrayBuffer>> {
    const buffer = new Uint8Array(16 * 1024);
    const view = new DataView(buffer.buffer);
    // Opened again: the position in a directory belongs to its descriptor.
    using directory = this.openDirectory(".");
    for (;;) {
      const { syscall } = this.#symbols;
      const descriptor = BigInt(directory.#descriptor);
      const result = syscall(SYS_getdents64, descriptor, buffer, BigInt(buffer.length));
      const length = this.#errno.check(Number(result), "getdents64");
      if (length === 0) return;
      // struct linux_dirent64: the record's length is at 16, the name at 19.
      for (let at = 0; at < length; at += view.getUint16(at + 16, true)) {
        const name = buffer.slice(at + 19, buffer.indexOf(0, at + 19) + 1);
        const isOwn = name[0] === dot &&
          (name.length === 2 || (name[1] === dot && name.length === 3));
        if (!isOwn) yield name;
      }
    }
  }

  makeDirectory(name: string): void {
    this.#check(this.#symbols.mkdirat(this.#descriptor, cString(name), 0o700), "mkdir", name);
  }

  setMode(mode: number): void {
    this.#check(this.#symbols.fchmod(this.#descriptor, mode), "chmod", "the directory");
  }

  makeLink(name: string, target: string): void {
    const result = this.#symbols.symlinkat(cString(target), this.#descriptor, cString(name));
    this.#check(result, "symlink", name);
  }

  /** The target of a link; undefined for anything else. */
  readLink(name: string): string | undefined {
    const buffer = new Uint8Array(4096);
    const { readlinkat } = this.#symbols;
    const size = BigInt(buffer.length);
    const length = Number(readlinkat(this.#descriptor, cString(name), buffer, size));
    if (length < 0) {
      const error = this.#error("readlink", name);
      if (error.code === "EINVAL" || isMissing(error)) return undefined;
      throw error;
    }
    return new TextDecoder().decode(buffer.subarray(0, length));
  }

  /** Renames an entry into a directory, which can be this one. */
  rename(from: EntryName, directory: Directory, to: string): void {
    const { renameat } = this.#symbols;
    const result = renameat(this.#descriptor, cName(from), directory.#descriptor, cString(to));
    this.#check(result, "rename to", to);
  }

  /** Removes one file, link or empty directory; returns whether the entry is gone. */
  removeOne(name: EntryName): boolean {
    const { unlinkat } = this.#symbols;
    for (const [flags, otherwise] of [[0, "EISDIR"], [AT_REMOVEDIR, "ENOTEMPTY"]] as const) {
      if (unlinkat(this.#descriptor, cName(name), flags) >= 0) return true;
      const error = this.#error("remove", nameText(name));
      if (error.code === "ENOENT") return true;
      // ENOTDIR: another process put a file in the place of the directory meanwhile.
      if (error.code !== otherwise && error.code !== "ENOTDIR") throw error;
    }
    return false;
  }

  /** Writes a file that does not exist yet, whatever the umask. */
  writeNewFile(
    name: string,
    text: string,
    { mode, group = UNCHANGED }: { readonly mode: number; readonly group: number | undefined },
  ): void {
    const { openat, fchown, fchmod, close } = this.#symbols;
    const flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    const file = openat(this.#descriptor, cString(name), flags, 0o600);
    this.#check(file, "open", name);
    try {
      this.#writeAll(file, name, text);
      this.#check(fchown(file, UNCHANGED, group), "chown", name);
      this.#check(fchmod(file, mode), "chmod", name);
    } finally {
      close(file);
    }
  }

  #writeAll(file: number, name: string, text: string): void {
    let rest = new TextEncoder().encode(text);
    while (rest.length > 0) {
      const written = Number(this.#symbols.write(file, rest, BigInt(rest.length)));
      if (written < 0 && this.#errno.name() === "EINTR") continue;
      rest = rest.subarray(this.#check(written, "write", name));
    }
  }

  /** The text of a file of at most so many bytes; undefined for a longer one, and for anything else. */
  readFile(name: string, mostBytes: number): string | undefined {
    const { openat, close } = this.#symbols;
    try {
      // To open a device or a named pipe can have an effect, or wait; below only the result of a race is rejected.
      if (!this.status(name).isFile) return undefined;
      const flags = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
      const file = this.#check(openat(this.#descriptor, cString(name), flags, 0), "open", name);
      try {
        const { isFile, size } = this.#status(file, "", AT_EMPTY_PATH);
        return isFile && size <= mostBytes ? this.#readAll(file, name, size) : undefined;
      } finally {
        close(file);
      }
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  }

  #readAll(file: number, name: string, size: number): string {
    const buffer = new Uint8Array(size);
    let length = 0;
    while (length < size) {
      const rest = buffer.subarray(length);
      const count = Number(this.#symbols.read(file, rest, BigInt(rest.length)));
      if (count < 0 && this.#errno.name() === "EINTR") continue;
      if (this.#check(count, "read", name) === 0) break;
      length += count;
    }
    return new TextDecoder().decode(buffer.subarray(0, length));
  }

  /** The entry of this name itself. */
  status(name: string): FileStatus {
    return this.#status(this.#descriptor, name, AT_SYMLINK_NOFOLLOW);
  }

  #status(descriptor: number, name: string, flags: number): FileStatus {
    const answer = new Uint8Array(statxRequest.size);
    const { mask } = statxRequest;
    this.#check(this.#symbols.statx(descriptor, cString(name), flags, mask, answer), "statx", name);
    return readFileStatus(answer);
  }

  #error(call: string, name: string): SystemCallError {
    return new SystemCallError(`${call} ${name}`, this.#errno.name());
  }

  #check(result: number, call: string, name: string): number {
    return this.#errno.check(result, `${call} ${name}`);
  }

  [Symbol.dispose](): void {
    this.#symbols.close(this.#descriptor);
  }
}

function cName(name: EntryName): Uint8Array<ArrayBuffer> {
  return typeof name === "string" ? cString(name) : name;
}

/** A name as messages contain it. */
function nameText(name: EntryName): string {
  return typeof name === "string" ? name : new TextDecoder().decode(name.subarray(0, -1));
}

/** Whether an error means that there is no entry of the expected kind: it is missing, a link, or no directory. */
export function isMissing(error: unknown): boolean {
  return error instanceof SystemCallError && ["ENOENT", "ENOTDIR", "ELOOP"].includes(error.code);
}
