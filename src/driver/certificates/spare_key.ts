import { createCertificateRequest } from "../../shared/x509/certificate_request.ts";
import { generateKeyPair } from "../../shared/crypto/key_pairs.ts";
import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";

/** A key pair, and the request that proves possession of it. */
export interface PreparedKey {
  readonly keyPair: CryptoKeyPair;
  /** PKCS#10, DER; it contains no name, so it fits every volume. */
  readonly certificateRequest: Uint8Array;
}

/** The one that volumes have unless they ask for another. */
const algorithm: KeyAlgorithm = "ecdsa-p256";

/**
 * Keeps one key pair ready in memory, so that the next volume does not wait for its making. It is given away once and
 * forgotten at once: no two volumes share a key.
 */
export class SpareKey {
  readonly #generate: (algorithm: KeyAlgorithm) => Promise<CryptoKeyPair>;
  #ready: PreparedKey | undefined;
  #isMaking = false;

  constructor(generate = generateKeyPair) {
    this.#generate = generate;
  }

  /** Returns the spare if it is of this algorithm and ready, and forgets it. */
  take(wanted: KeyAlgorithm): PreparedKey | undefined {
    if (wanted !== algorithm) return undefined;
    const ready = this.#ready;
    this.#ready = undefined;
    return ready;
  }

  /** Makes the next one if there is none. Never rejects: without a spare each volume's key is made when it is needed. */
  async refill(): Promise<void> {
    if (this.#isMaking || this.#ready !== undefined) return;
    this.#isMaking = true;
    try {
      const keyPair = await this.#generate(algorithm);
      this.#ready = { keyPair, certificateRequest: await createCertificateRequest(keyPair) };
    } catch {
      // The next refill tries again.
    } finally {
      this.#isMaking = false;
    }
  }
}
