import { pause } from "../scheduler/abort_signals.ts";
import type { Clock } from "../scheduler/clock.ts";
import { errorMessage } from "../text/error_message.ts";

export interface AcceptOptions<C> {
  readonly clock: Pick<Clock, "after">;
  /** Receives each connection. */
  readonly onConnection: (connection: C) => void;
  /** Receives each failure that lasts. */
  readonly onProblem?: (problem: string) => void;
}

/** Accepting fails at once and again while there are no file descriptors (EMFILE). */
const acceptPauseMs = 100;

/**
 * Accepts connections until the signal is aborted, which has to be before the caller closes the listener.
 * Continues after every failure: at once when it concerned one connection, otherwise after a pause.
 * A connection that was accepted just before the abort, and is not delivered yet, is closed.
 */
export async function acceptConnections<C extends { close(): void }>(
  listener: { accept(): Promise<C> },
  { clock, onConnection, onProblem }: AcceptOptions<C>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const connection = await listener.accept();
      if (signal.aborted) connection.close();
      else onConnection(connection);
    } catch (error) {
      if (signal.aborted || concernsOneConnection(error)) continue;
      onProblem?.(errorMessage(error));
      await pause(clock, acceptPauseMs, signal);
    }
  }
}

/** Whether one connection was reset before it was accepted, so that the next one can be accepted. */
function concernsOneConnection(error: unknown): boolean {
  const { ConnectionAborted, ConnectionReset, NotConnected } = Deno.errors;
  return [ConnectionAborted, ConnectionReset, NotConnected].some((kind) => error instanceof kind);
}
