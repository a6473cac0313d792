import type { Clock } from "../scheduler/clock.ts";
import { generateKeyPair, type KeyAlgorithm } from "../x509/keys.ts";

/** How long a finished key waits for the retry of a call that gave up; the kubelet's longest pause is 122 s. */
const keepMs = 10 * 60_000;

interface Waiting {
  readonly algorithm: KeyAlgorithm;
  readonly keyPair: Promise<CryptoKeyPair>;
  readonly expiry: Disposable;
}

/**
 * Makes key pairs. RSA keys take seconds of one core, so they are made one at a time, and one that
 * is finished after its call gave up waits in memory for the volume's next call.
 */
export class KeyMaker implements Disposable {
  readonly #clock: Clock;
  readonly #generate: (algorithm: KeyAlgorithm) => Promise<CryptoKeyPair>;
  readonly #waiting = new Map<string, Waiting>();
  #lastRsa: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, generate = generateKeyPair) {
    this.#clock = clock;
    this.#generate = generate;
  }

  /** A key pair for a volume; rejects with the signal's reason when that comes first. */
  make(volumeId: string, algorithm: KeyAlgorithm, signal: AbortSignal): Promise<CryptoKeyPair> {
    if (!algorithm.startsWith("rsa-")) return this.#generate(algorithm);
    let waiting = this.#waiting.get(volumeId);
    if (waiting?.algorithm !== algorithm) {
      this.drop(volumeId);
      waiting = this.#enqueue(volumeId, algorithm);
    }
    return untilAborted(waiting.keyPair, signal);
  }

  /** Forgets a volume's key: it has its certificate, or nobody will ask again. */
  drop(volumeId: string): void {
    const waiting = this.#waiting.get(volumeId);
    this.#waiting.delete(volumeId);
    waiting?.expiry[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const volumeId of [...this.#waiting.keys()]) this.drop(volumeId);
  }

  #enqueue(volumeId: string, algorithm: KeyAlgorithm): Waiting {
    // A volume that is gone when its turn comes costs nothing.
    const keyPair = this.#lastRsa.then(() => {
      if (this.#waiting.get(volumeId) !== waiting) throw new Error("the volume is gone");
      return this.#generate(algorithm);
    });
    this.#lastRsa = keyPair.catch(() => {});
    const expiry = this.#clock.after(keepMs, () => this.drop(volumeId));
    const waiting: Waiting = { algorithm, keyPair, expiry };
    this.#waiting.set(volumeId, waiting);
    // A key that could not be made must not answer the retry as well.
    keyPair.catch(() => {
      if (this.#waiting.get(volumeId) === waiting) this.drop(volumeId);
    });
    return waiting;
  }
}

/** The promise's outcome, or a rejection with the signal's reason if that comes first. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
    // Also after an abort: a rejection that nobody waits for would end the program.
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
