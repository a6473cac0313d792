/**
 * Whether accept() failed for one connection only, which was reset before it was accepted, so that the
 * next one can be accepted at once. Any other failure, such as no file descriptors (EMFILE), lasts, and
 * accept() fails again at once: the caller has to pause.
 */
export function concernsOneConnection(error: unknown): boolean {
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((kind) => error instanceof kind);
}
