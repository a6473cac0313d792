import { Buffer } from "node:buffer";
import { cString } from "./c_string.ts";
import type { Errno } from "./errno.ts";

export const procFileSymbols = {
  open: { parameters: ["buffer", "i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  close: { parameters: ["i32"], result: "i32" },
  poll: { parameters: ["buffer", "usize", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const O_CLOEXEC = 0o2000000;
const POLLPRI = 2;
const READ_SIZE = 64 * 1024;

/** The mounts that this process sees. */
export const mountinfoPath = "/proc/self/mountinfo";

/** Whole files of the kernel's, which Deno's own permissions keep closed. */
export class ProcFileReader implements Disposable {
  readonly #symbols: Deno.StaticForeignLibraryInterface<typeof procFileSymbols>;
  readonly #errno: Errno;
  /** The mount table, open for as long as its changes are asked for. */
  #mountsDescriptor: number | undefined;

  constructor(
    symbols: Deno.StaticForeignLibraryInterface<typeof procFileSymbols>,
    errno: Errno,
  ) {
    this.#symbols = symbols;
    this.#errno = errno;
  }

  /** The text of a file; throws a SystemCallError. */
  read(path: string): string {
    const descriptor = this.#open(path);
    try {
      return this.#readAll(descriptor, path);
    } finally {
      this.#symbols.close(descriptor);
    }
  }

  /** Whether mounts were added or removed since the last call (proc(5)); true for the first call. */
  mountsChanged(): boolean {
    if (this.#mountsDescriptor === undefined) {
      this.#mountsDescriptor = this.#open(mountinfoPath);
      return true;
    }
    const request = new ArrayBuffer(8);
    const view = new DataView(request);
    view.setInt32(0, this.#mountsDescriptor, true);
    view.setInt16(4, POLLPRI, true);
    return this.#symbols.poll(new Uint8Array(request), 1n, 0) !== 0;
  }

  #open(path: string): number {
    return this.#errno.check(this.#symbols.open(cString(path), O_CLOEXEC), `open ${path}`);
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

  [Symbol.dispose](): void {
    if (this.#mountsDescriptor !== undefined) this.#symbols.close(this.#mountsDescriptor);
  }
}
