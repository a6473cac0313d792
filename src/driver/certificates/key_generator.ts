import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { generateKeyPair } from "../../shared/crypto/key_pairs.ts";
import { abortable } from "../../shared/scheduler/abort_signals.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";

/** How long a finished key waits for the retry of a call that was cancelled; the kubelet's longest pause is 122 s. */
const unclaimedKeyLifetimeMs = 10 * 60_000;

interface Waiting {
  readonly algorithm: KeyAlgorithm;
  readonly keyPair: Promise<CryptoKeyPair>;
  /** Undefined until the key is finished: the keys before it can take longer than its lifetime. */
  expiry: Disposable | undefined;
}

/** Whether a key of this algorithm takes seconds of one core. */
export function isSlowToGenerate(algorithm: KeyAlgorithm): boolean {
  return algorithm.startsWith("rsa-");
}

/**
 * Generates key pairs. An RSA key takes seconds of one core, so RSA keys are made one at a time, and a key
 * that is finished after its call was cancelled waits in memory for the volume's next call.
 */
export class KeyGenerator implements Disposable {
  readonly #clock: Clock;
  readonly #generate: (algorithm: KeyAlgorithm) => Promise<CryptoKeyPair>;
  readonly #waiting = new Map<string, Waiting>();
  #lastRsa: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock, generate = generateKeyPair) {
    this.#clock = clock;
    this.#generate = generate;
  }

  /** A key pair for a volume; rejects with the signal's reason when the signal is aborted first. */
  generate(volumeId: string, algorithm: KeyAlgorithm, signal: AbortSignal): Promise<CryptoKeyPair> {
    if (!isSlowToGenerate(algorithm)) return this.#generate(algorithm);
    let waiting = this.#waiting.get(volumeId);
    if (waiting?.algorithm !== algorithm) {
      this.discard(volumeId);
      waiting = this.#enqueue(volumeId, algorithm);
    }
    return abortable(waiting.keyPair, signal);
  }

  /** Discards a volume's key: its certificate was issued, or the volume was removed. */
  discard(volumeId: string): void {
    const waiting = this.#waiting.get(volumeId);
    this.#waiting.delete(volumeId);
    waiting?.expiry?.[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    for (const volumeId of [...this.#waiting.keys()]) this.discard(volumeId);
  }

  #enqueue(volumeId: string, algorithm: KeyAlgorithm): Waiting {
    // No key is made for a volume that was removed while it waited.
    const keyPair = this.#lastRsa.then(() => {
      if (this.#waiting.get(volumeId) !== waiting) throw new Error("the volume was removed");
      return this.#generate(algorithm);
    });
    this.#lastRsa = keyPair.catch(() => {});
    const waiting: Waiting = { algorithm, keyPair, expiry: undefined };
    this.#waiting.set(volumeId, waiting);
    const isCurrent = () => this.#waiting.get(volumeId) === waiting;
    const discard = () => this.discard(volumeId);
    keyPair.then(() => {
      if (isCurrent()) waiting.expiry = this.#clock.after(unclaimedKeyLifetimeMs, discard);
    }, () => {
      // A key that could not be made must not fail the retry too.
      if (isCurrent()) discard();
    });
    return waiting;
  }
}
