import { libcPaths } from "./libc.ts";

// Optional: it is the GNU C library's own, which others need not have.
const symbols = {
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** What the C library holds of memory that nothing uses any more. */
export interface MemoryTrimmer extends Disposable {
  /** Gives it back to the kernel, in a millisecond or so. */
  trim(): void;
}

/**
 * Where the C library has no such call, or cannot be opened, `trim` does nothing.
 *
 * Deno parses a program on a thread of its own, and what that took (20 MiB for the driver's bundle)
 * stays with the thread's arena after it was freed: malloc gives back the end of an arena only.
 */
export function openMemoryTrimmer(): MemoryTrimmer {
  const library = openLibrary();
  return {
    trim: () => void library?.symbols.malloc_trim?.(0n),
    [Symbol.dispose]: () => library?.close(),
  };
}

function openLibrary(): Deno.DynamicLibrary<typeof symbols> | undefined {
  for (const path of libcPaths) {
    try {
      return Deno.dlopen(path, symbols);
    } catch {
      // Not here, or not permitted: the memory is not worth a driver that does not start.
    }
  }
}
