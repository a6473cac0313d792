import type { Writable } from "node:stream";

/**
 * Lets what is written to a connection in one turn of the event loop leave as one: an answer's header
 * and its message are two writes of HTTP/2, and each costs a call of the kernel here and a wake-up
 * there.
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
