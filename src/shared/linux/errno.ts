export const errnoSymbols = {
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
  [17, "EEXIST"],
  [18, "EXDEV"],
  [19, "ENODEV"],
  [20, "ENOTDIR"],
  [21, "EISDIR"],
  [22, "EINVAL"],
  [24, "EMFILE"],
  [28, "ENOSPC"],
  [30, "EROFS"],
  [36, "ENAMETOOLONG"],
  [38, "ENOSYS"],
  [39, "ENOTEMPTY"],
  [40, "ELOOP"],
  [122, "EDQUOT"],
]);

/** The codes that a pod's author can meet in an event. */
const meanings: ReadonlyMap<string, string> = new Map([
  ["ENOSPC", " (No space left on device)"],
  ["EDQUOT", " (Disk quota exceeded)"],
]);

/** A call that the kernel refused; `code` is the errno's name. */
export class SystemCallError extends Error {
  override readonly name = "SystemCallError";
  readonly code: string;

  constructor(call: string, code: string) {
    super(`${call}: ${code}${meanings.get(code) ?? ""}`);
    this.code = code;
  }
}

/** Why the thread's last call failed (errno(3)). Calls have to be synchronous: errno is lost from a nonblocking one. */
export class Errno {
  readonly #symbols: Deno.StaticForeignLibraryInterface<typeof errnoSymbols>;

  constructor(symbols: Deno.StaticForeignLibraryInterface<typeof errnoSymbols>) {
    this.#symbols = symbols;
  }

  /** A result that is no failure, or else a SystemCallError that names the call. */
  check(result: number, call: string): number {
    if (result < 0) throw new SystemCallError(call, this.name());
    return result;
  }

  /** Copies errno, since scoped FFI permissions forbid looking through a pointer. */
  name(): string {
    const errno = new Int32Array(1);
    this.#symbols.memcpy(errno, this.#symbols.__errno_location(), 4n);
    const number = errno[0] ?? 0;
    return errorNames.get(number) ?? `errno ${number}`;
  }
}
