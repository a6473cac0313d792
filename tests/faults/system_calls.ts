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

/** Calls `report` before each mount(2) and umount2(2). */
export function onMountCall(report: (what: string) => void): void {
  const original = Deno.dlopen;
  const wrapped = (path: string | URL, symbols: Deno.ForeignLibraryInterface) => {
    const library = original(path, symbols) as {
      symbols: Record<string, Function>;
      close(): void;
    };
    const { mount, umount2 } = library.symbols;
    const counted: Record<string, Function> = {
      ...library.symbols,
      mount: (...args) => {
        report(`${kindOf(Number(args[3]))} ${nameOf(textOf(args[1]))}`);
        return mount?.(...args);
      },
      umount2: (...args) => {
        report(`unmount ${nameOf(textOf(args[0]))}`);
        return umount2?.(...args);
      },
    };
    return { symbols: counted, close: () => library.close() };
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
