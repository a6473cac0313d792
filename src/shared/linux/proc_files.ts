import { Buffer } from "node:buffer";
import { cString } from "./c_string.ts";
import type { Errno } from "./errno.ts";

export const procFileSymbols = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_CLOEXEC = 0o2000000;
const READ_SIZE = 64 * 1024;

/** The mounts that this process sees. */
export const mountinfoPath = "/proc/self/mountinfo";

/** Reads whole files of the kernel, which Deno's permissions do not allow to read. */
export class ProcFileReader {
  readonly #symbols: Deno.StaticForeignLibraryInterface<typeof procFileSymbols>;
  readonly #errno: Errno;

  constructor(
    symbols: Deno.StaticForeignLibraryInterface<typeof procFileSymbols>,
    errno: Errno,
  ) {
    this.#symbols = symbols;
    this.#errno = errno;
  }

  /** The text of a file; throws a SystemCallError. */
  read(path: string): string {
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
      if (length === 0) return new TextDecoder().decode(Buffer.concat(parts));
      parts.push(buffer.slice(0, length));
    }
  }
}
