import type { SignatureEngine } from "../../shared/crypto/signature_engine.ts";
import { Semaphore } from "../../shared/scheduler/semaphore.ts";
import { signatureOf } from "./key_set.ts";
import type { KeySetCache } from "./key_set_cache.ts";
import type { ServiceAccountToken } from "./service_account_token.ts";

/** The result of verifying a token's signature; a good one does not prove that the pod still runs. */
export type TokenSignature = "good" | "bad" | "unknown key";

/** Verifications at once; each occupies a thread. */
const concurrency = 8;

/** Verifies tokens' signatures with the keys that the cluster publishes. */
export class TokenVerifier {
  readonly #keys: KeySetCache;
  readonly #engine: Pick<SignatureEngine, "verify">;
  readonly #places = new Semaphore(concurrency);

  /** The engine verifies on another thread. */
  constructor(options: { keys: KeySetCache; engine: Pick<SignatureEngine, "verify"> }) {
    this.#keys = options.keys;
    this.#engine = options.engine;
  }

  /** Rejects only when the signal is aborted. */
  async verify(token: ServiceAccountToken, signal: AbortSignal): Promise<TokenSignature> {
    const key = await this.#keys.find(token.keyId, signal);
    if (key === undefined) return "unknown key";
    // The key's own algorithm is used in any case: a token cannot choose one (RFC 8725, 3.1).
    if (token.algorithm !== key.algorithm) return "bad";
    const signature = signatureOf(token.signature, key);
    if (signature === undefined) return "bad";
    using _place = await this.#places.acquire(signal);
    const { spki, scheme } = key;
    const isGood = await this.#engine.verify({ spki, scheme, signature, bytes: token.signed });
    return isGood ? "good" : "bad";
  }
}
