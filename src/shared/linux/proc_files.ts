import { Buffer } from "node:buffer";
import { cString } from "./c_string.ts";
import type { Errno } from "./errno.ts";

export const procFileSymbols = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  lseek: { parameters: ["i32", "i64", "i32"], result: "i64" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_CLOEXEC = 0o2000000;
const POLLPRI = 2;
const READ_SIZE = 64 * 1024;

/** The mounts that this process sees; the one file here that reports its changes. */
export const mountinfoPath = "/proc/self/mountinfo";

/** Whole files of the kernel's, which Deno's own permissions keep closed. */
export class ProcFileReader implements Disposable {
  readonly #symbols: Deno.StaticForeignLibraryInterface<typeof procFileSymbols>;
  readonly #errno: Errno;
  #mounts: { readonly descriptor: number; readonly text: string } | undefined;

  constructor(
    symbols: Deno.StaticForeignLibraryInterface<typeof procFileSymbols>,
    errno: Errno,
  ) {
    this.#symbols = symbols;
    this.#errno = errno;
  }

  /** The text of a file; throws a SystemCallError. */
  read(path: string): string {
    return path === mountinfoPath ? this.#readMountTable() : this.#readOnce(path);
  }

  /** The kernel writes the table again for each reader, so it is read again only when it has changed. */
  #readMountTable(): string {
    const { open, lseek } = this.#symbols;
    const known = this.#mounts;
    if (known !== undefined && !this.#tellsOfChange(known.descriptor)) return known.text;
    const descriptor = known?.descriptor ??
      this.#errno.check(open(cString(mountinfoPath), O_CLOEXEC), `open ${mountinfoPath}`);
    // A change after this is reported at the next poll.
    lseek(descriptor, 0n, 0);
    this.#mounts = { descriptor, text: "" };
    const text = this.#readAll(descriptor, mountinfoPath);
    this.#mounts = { descriptor, text };
    return text;
  }

  /** Whether mounts came or went since this was asked before, or since the table was opened: proc(5). */
  #tellsOfChange(descriptor: number): boolean {
    const request = new ArrayBuffer(8);
    const view = new DataView(request);
    view.setInt32(0, descriptor, true);
    view.setInt16(4, POLLPRI, true);
    const result = this.#symbols.poll(new Uint8Array(request), 1n, 0);
    // An empty text is left by a reading that failed.
    return result !== 0 || this.#mounts?.text === "";
  }

  #readOnce(path: string): string {
    const { open, close } = this.#symbols;
    const descriptor = this.#errno.check(open(cString(path), O_CLOEXEC), `open ${path}`);
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
      const length = Number(this.#symbols.read(descriptor, buffer, BigInt(buffer.length)));
      if (length < 0 && this.#errno.name() === "EINTR") continue;
      this.#errno.check(length, `read ${path}`);
      // Decoded in one piece: V8 takes long to compare texts that were put together.
      if (length === 0) return new TextDecoder().decode(Buffer.concat(parts));
      parts.push(buffer.slice(0, length));
    }
  }

  [Symbol.dispose](): void {
    if (this.#mounts) this.#symbols.close(this.#mounts.descriptor);
  }
}
