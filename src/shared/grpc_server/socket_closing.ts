import type { Socket } from "node:net";
import { yieldToEventLoop } from "../scheduler/event_loop_yield.ts";

/** Iterations of the event loop in which the last answers are written to the sockets. */
const lastIterations = 10;
/** A peer that no longer reads does not delay the end. */
const longestCloseMs = 1_000;

/**
 * Closes every socket of a set from which a socket that has closed is removed. Each closes once what
 * was written has been sent, or after a second. Resolves when all have closed.
 */
export async function closeSockets(open: ReadonlySet<Socket>): Promise<void> {
  for (let count = 0; count < lastIterations; count++) await yieldToEventLoop();
  await Promise.all([...open].map(closeSocket));
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => socket.destroy(), longestCloseMs);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.destroySoon();
  });
}
