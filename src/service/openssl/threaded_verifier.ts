import type { SignatureEngine, SignatureToVerify } from "../../shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import { type Libcrypto, openLibcrypto } from "./libcrypto.ts";

/** Verifies signatures without holding the event loop. */
export type SignatureVerifier = Pick<SignatureEngine, "verify">;

/**
 * Verifies through libcrypto on another thread, or through WebCrypto, which has threads of its own,
 * where the library cannot be called. Meant for few keys: each is kept in the library's form for as
 * long as the array of its DER is.
 */
export function openThreadedVerifier(): SignatureVerifier {
  const library = openLibcrypto();
  return library === undefined ? webCryptoEngine : new ThreadedVerifier(library);
}

class ThreadedVerifier implements SignatureVerifier {
  readonly #library: Libcrypto;
  readonly #keys = new WeakMap<Uint8Array, Deno.PointerObject>();
  readonly #unused: FinalizationRegistry<Deno.PointerObject>;
  /** The library reads these on another thread, where the garbage collector does not see it. */
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
      if (library.EVP_DigestVerifyInit(context, null, this.#hash(hash), null, key) !== 1) {
        return false;
      }
      const lengths = [BigInt(signature.length), BigInt(bytes.length)] as const;
      const verify = library.EVP_DigestVerify_aside;
      return await verify(context, own(signature), lengths[0], own(bytes), lengths[1]) === 1;
    } finally {
      this.#inUse.delete(held);
      library.EVP_MD_CTX_free(context);
      library.ERR_clear_error();
    }
  }

  /** Null for a key that the library does not take. To decode one takes longer than to verify with it. */
  #keyOf(spki: Uint8Array): Deno.PointerValue {
    const known = this.#keys.get(spki);
    if (known !== undefined) return known;
    const library = this.#library;
    const source = library.BIO_new_mem_buf(own(spki), spki.length);
    const key = library.d2i_PUBKEY_bio(source, null);
    library.BIO_free(source);
    if (key === null) library.ERR_clear_error();
    else {
      this.#keys.set(spki, key);
      this.#unused.register(spki, key);
    }
    return key;
  }

  #hash(name: "SHA-256" | "SHA-384" | "SHA-512"): Deno.PointerValue {
    const { EVP_sha256, EVP_sha384, EVP_sha512 } = this.#library;
    return name === "SHA-512" ? EVP_sha512() : name === "SHA-384" ? EVP_sha384() : EVP_sha256();
  }
}

/** As FFI takes bytes. */
function own(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}
