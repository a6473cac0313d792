import type { SignatureEngine, SignatureToVerify } from "../../shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import { decodeKey, digestMethod, ffiBytes, type Libcrypto, openLibcrypto } from "./libcrypto.ts";

/** Verifies signatures without blocking the event loop. */
export type SignatureVerifier = Pick<SignatureEngine, "verify">;

/**
 * Verifies through libcrypto on another thread, or through WebCrypto, which has its own threads, where
 * the library cannot be called. For few keys: the library keeps each key as long as the array of its
 * DER exists.
 */
export function openThreadedVerifier(): SignatureVerifier {
  const library = openLibcrypto();
  return library === undefined ? webCryptoEngine : new ThreadedVerifier(library);
}

class ThreadedVerifier implements SignatureVerifier {
  readonly #library: Libcrypto;
  readonly #keys = new WeakMap<Uint8Array, Deno.PointerObject>();
  readonly #unused: FinalizationRegistry<Deno.PointerObject>;
  /** Keeps objects alive that the library reads on another thread. */
  readonly #inUse = new Set<SignatureToVerify>();

  constructor(library: Libcrypto) {
    this.#library = library;
    this.#unused = new FinalizationRegistry((key) => library.EVP_PKEY_free(key));
  }

  async verify(signed: SignatureToVerify): Promise<boolean> {
    const { scheme: { name, hash }, signature, bytes } = signed;
    const isOffered = name === "RSASSA-PKCS1-v1_5" || name === "ECDSA";
    if (!isOffered || hash === "SHA-1") return await webCryptoEngine.verify(signed);
    const library = this.#library;
    const key = this.#keyOf(signed.spki);
    if (key === null) return false;
    const context = library.EVP_MD_CTX_new();
    const held = { ...signed };
    this.#inUse.add(held);
    try {
      if (
        library.EVP_DigestVerifyInit(context, null, digestMethod(library, hash), null, key) !== 1
      ) {
        return false;
      }
      const lengths = [BigInt(signature.length), BigInt(bytes.length)] as const;
      const verify = library.EVP_DigestVerify_nonblocking;
      return await verify(context, ffiBytes(signature), lengths[0], ffiBytes(bytes), lengths[1]) ===
        1;
    } finally {
      this.#inUse.delete(held);
      library.EVP_MD_CTX_free(context);
      library.ERR_clear_error();
    }
  }

  /** Null for a key that the library does not accept. Keys are kept, because decoding takes longer than verifying. */
  #keyOf(spki: Uint8Array): Deno.PointerValue {
    const known = this.#keys.get(spki);
    if (known !== undefined) return known;
    const library = this.#library;
    const key = decodeKey(library, spki, library.d2i_PUBKEY_bio);
    if (key === null) library.ERR_clear_error();
    else {
      this.#keys.set(spki, key);
      this.#unused.register(spki, key);
    }
    return key;
  }
}
