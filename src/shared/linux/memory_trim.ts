import { libcPaths } from "./libc.ts";

// Optional: only the GNU C library has it.
const symbols = {
  malloc_trim: { parameters: ["usize"], result: "i32", optional: true },
} as const satisfies Deno.ForeignLibraryInterface;

/** Memory that was freed and that the C library has not returned to the kernel. */
export interface MemoryTrimmer extends Disposable {
  /** Returns it to the kernel, which takes about a millisecond. */
  trim(): void;
}

/**
 * Where the C library has no such call, or cannot be opened, `trim` does nothing.
 *
 * Deno parses a program on another thread. The memory for that (20 MiB for the driver's bundle) remains
 * in the thread's arena after it was freed: malloc returns only the end of an arena to the kernel.
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
      // Not available or not permitted: the driver starts without it.
    }
  }
}
