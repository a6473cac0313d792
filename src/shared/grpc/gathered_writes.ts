import type { Writable } from "node:stream";

/**
 * Makes one write of what is written to a connection in one iteration of the event loop. HTTP/2 writes
 * an answer's header and its message separately, and each write costs a system call here and a wake-up
 * of the peer: without this, an issue in plaintext costs 8 % more processor time.
 */
export function gatherWrites(connection: Pick<Writable, "write" | "cork" | "uncork">): void {
  const { write } = connection;
  let isGathering = false;
  connection.write = (...args: unknown[]) => {
    if (!isGathering) {
      isGathering = true;
      connection.cork();
      setImmediate(() => {
        isGathering = false;
        connection.uncork();
      });
    }
    return Reflect.apply(write, connection, args);
  };
}
