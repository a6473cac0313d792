import { basename } from "node:path";
import { mountFlags } from "../../src/shared/linux/libc.ts";

/** Deno's functions with which the driver changes a file system; the changed path is their last argument. */
const changing = [
  "mkdir",
  "mkdirSync",
  "chmod",
  "chmodSync",
  "chown",
  "chownSync",
  "writeTextFile",
  "writeTextFileSync",
  "symlink",
  "symlinkSync",
  "rename",
  "renameSync",
  "remove",
  "removeSync",
] as const;

type Name = typeof changing[number];
type Function = (...args: unknown[]) => unknown;

/** Calls `report` before each change of a file system by way of Deno. */
export function onFileSystemCall(report: (what: string) => void): void {
  const functions = Deno as unknown as Record<Name, Function>;
  for (const name of changing) {
    const original = functions[name].bind(Deno);
    functions[name] = (...args) => {
      const call = name.replace("Sync", "");
      const path = call === "rename" || call === "symlink" ? args[1] : args[0];
      report(`${call} ${nameOf(String(path))}`);
      return original(...args);
    };
  }
}

const O_CREAT = 0o100;

/** The names of open files and directories, by descriptor. */
type OpenNames = Map<unknown, string>;

/** The calls of the C library with which the driver changes something, and what each does; undefined for no change. */
const libraryCalls: Record<string, (args: unknown[], open: OpenNames) => string | undefined> = {
  mount: (args) => `${kindOf(Number(args[3]))} ${nameOf(textOf(args[1]))}`,
  umount2: (args) => `unmount ${nameOf(textOf(args[0]))}`,
  mkdirat: (args) => `mkdir ${nameOf(textOf(args[1]))}`,
  unlinkat: (args) => `remove ${nameOf(textOf(args[1]))}`,
  symlinkat: (args) => `symlink ${nameOf(textOf(args[2]))}`,
  renameat: (args) => `rename ${nameOf(textOf(args[3]))}`,
  openat: (args) => Number(args[2]) & O_CREAT ? `create ${nameOf(textOf(args[1]))}` : undefined,
  write: (args, open) => `write ${open.get(args[0])}`,
  fchown: (args, open) => `chown ${open.get(args[0])}`,
  fchmod: (args, open) => `chmod ${open.get(args[0])}`,
};

/** The other calls of the C library that the driver makes. */
const unchanging: ReadonlySet<string> = new Set([
  "prctl",
  "setrlimit",
  "signal",
  "clock_gettime",
  "readlinkat",
  "syscall",
  "statx",
  "open",
  "read",
  "close",
  "memcpy",
  "__errno_location",
  "malloc_trim",
]);

/** Calls `report` before each change by way of the C library; throws for a call of it that is listed nowhere above. */
export function onLibraryCall(report: (what: string) => void): void {
  const open: OpenNames = new Map();
  replaceLibraryCalls((name, call) => {
    const describe = libraryCalls[name];
    if (describe === undefined) {
      if (unchanging.has(name)) return call;
      throw new Error(`state in ${import.meta.filename} whether ${name} changes anything`);
    }
    return (...args) => {
      const what = describe(args, open);
      if (what !== undefined) report(what);
      const result = call(...args);
      if (name === "openat") open.set(result, nameOf(textOf(args[1])));
      return result;
    };
  });
}

/** Every mount(2) fails with ENODEV, as in a container that has no tmpfs. */
export function rejectMounts(): void {
  const unknown = new TextEncoder().encode("unknown\0");
  replaceLibraryCalls((name, call) =>
    name === "mount" ? (source, target) => call(source, target, unknown, 0n, null) : call
  );
}

function replaceLibraryCalls(replace: (name: string, call: Function) => Function): void {
  const original = Deno.dlopen;
  const wrapped = (path: string | URL, interfaces: Deno.ForeignLibraryInterface) => {
    const library = original(path, interfaces);
    const symbols = Object.entries(library.symbols as Record<string, Function>)
      .map(([name, call]) => [name, replace(name, call)]);
    return { symbols: Object.fromEntries(symbols), close: () => library.close() };
  };
  (Deno as unknown as { dlopen: unknown }).dlopen = wrapped;
}

function kindOf(flags: number): string {
  if (flags & mountFlags.remount) {
    return flags & mountFlags.readOnly ? "make read-only" : "make writable";
  }
  if (flags & mountFlags.bind) return "bind";
  if (flags & mountFlags.move) return "move";
  return flags & mountFlags.private ? "make private" : "mount";
}

function textOf(text: unknown): string {
  return text instanceof Uint8Array ? new TextDecoder().decode(text).replace("\0", "") : "";
}

/** The last part of a path, with what is random in it left out. */
function nameOf(path: string): string {
  const name = basename(path);
  return /^[0-9a-f]{16}$/.test(name) ? "DIRECTORY" : name.replace(/[0-9a-f]{16,}/g, "*");
}
