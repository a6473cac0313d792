import type { Program } from "../../support/programs.ts";
import { attackerAddress } from "../harness/row.ts";
import { openTcp } from "../http2/socket.ts";

/** As many as a queue of connections that wait to be accepted takes at least. */
const resets = 100;

/**
 * Connects and resets while the program stands still, as if it were busy: each connection that it
 * accepts afterwards has ended. Returns how many there are.
 */
export async function resetWhileStopped(program: Program, address: string): Promise<number> {
  program.signal("SIGSTOP");
  try {
    const sockets = await Promise.all(
      Array.from(
        { length: resets },
        (_, n) => openTcp({ address, from: attackerAddress(n) }).catch(() => undefined),
      ),
    );
    for (const socket of sockets) socket?.on("error", () => {});
    for (const socket of sockets) socket?.resetAndDestroy();
    return sockets.filter((socket) => socket !== undefined).length;
  } finally {
    program.signal("SIGCONT");
  }
}
