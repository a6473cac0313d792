/** A sentence for a file that cannot be read; the runtime's own text never stands alone. */
export function describeFileError(file: string, error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return `${file} does not exist`;
  const reason = error instanceof Error ? error.message : String(error);
  return `${file} cannot be read: ${reason}`;
}
