/** The message of what was thrown; of an error whose clean-up failed too, both messages, the cause first. */
export function errorMessage(error: unknown): string {
  if (error instanceof SuppressedError) {
    return `${errorMessage(error.suppressed)}; then ${errorMessage(error.error)}`;
  }
  return error instanceof Error ? error.message : String(error);
}
