import type { Buffer } from "node:buffer";
import { nextTick } from "node:process";
import type { Duplex } from "node:stream";

/** What is read in one turn of the event loop: some 150 requests, which take it ten to twenty milliseconds. */
const octetsPerTurn = 64 * 1024;

/**
 * Leaves the event loop its turns when many connections bring requests at once: what is too much
 * for one turn stays in the other connections until the next. They take turns themselves.
 */
export class PacedReading {
  /** Those that may be read. */
  readonly #flowing = new Set<Duplex>();
  /** Those that wait, first come first. */
  readonly #waiting = new Set<Duplex>();
  #octetsLeft = octetsPerTurn;
  #isTurn = false;

  /** Paces a connection whose data somebody listens to already. */
  follow(connection: Duplex): void {
    this.#flowing.add(connection);
    connection.on("data", (chunk: Buffer) => this.#wasRead(chunk.length));
    connection.once("close", () => {
      this.#flowing.delete(connection);
      this.#waiting.delete(connection);
    });
  }

  #wasRead(bytes: number): void {
    if (!this.#isTurn) {
      this.#isTurn = true;
      setImmediate(() => this.#beginTurn());
    }
    this.#octetsLeft -= bytes;
    if (this.#octetsLeft <= 0) this.#pauseAll();
  }

  #pauseAll(): void {
    for (const connection of this.#flowing) {
      connection.pause();
      this.#waiting.add(connection);
    }
    this.#flowing.clear();
  }

  #beginTurn(): void {
    this.#isTurn = false;
    this.#octetsLeft = octetsPerTurn;
    this.#resumeFirst();
  }

  #resumeFirst(): void {
    const [first] = this.#waiting;
    if (first === undefined || this.#octetsLeft <= 0) return;
    this.#waiting.delete(first);
    this.#flowing.add(first);
    first.resume();
    // It is read in the next tick, so before this.
    nextTick(() => this.#resumeFirst());
  }
}
