/**
 * This folder makes and verifies signatures through OpenSSL's libcrypto, which is faster than
 * WebCrypto. Its main function is `openOpensslEngine`. It never quotes OpenSSL's own error texts,
 * and never keeps a key after the garbage collector has collected its `CryptoKey`.
 */

import { getLogger } from "@logtape/logtape";
import type { KeyAlgorithm } from "../../shared/crypto/key_algorithm.ts";
import { readEcPrivateKey } from "../../shared/crypto/ec_private_key.ts";
import { recognizePublicKey } from "../../shared/crypto/public_key.ts";
import type { SignatureEngine, SignatureToVerify } from "../../shared/crypto/signature_engine.ts";
import { webCryptoEngine } from "../../shared/crypto/web_crypto_engine.ts";
import { decodeKey, digestMethod, ffiBytes, type Libcrypto, openLibcrypto } from "./libcrypto.ts";

/** The numbers of the curves in <openssl/obj_mac.h>. */
const curveNumbers = { "ecdsa-p256": 415, "ecdsa-p384": 715 } as const;
type EcAlgorithm = "ecdsa-p256" | "ecdsa-p384";
const digestLengths = { "SHA-256": 32, "SHA-384": 48, "SHA-512": 64 } as const;
/** The bytes of an RSA-4096 signature; all others are shorter. */
const maxSignatureBytes = 512;

const logger = getLogger(["cert-service", "signing"]);

/** A private key that is loaded in the library. */
interface LoadedKey {
  readonly kind: "ec" | "other";
  readonly pointer: Deno.PointerObject;
}

/**
 * Opens the engine; undefined where the library does not exist, may not be called, or gives other
 * results than WebCrypto. It is several times as fast as WebCrypto with P-256, and as fast with RSA.
 */
export async function openOpensslEngine(): Promise<SignatureEngine | undefined> {
  const library = openLibcrypto();
  const engine = library && new OpensslEngine(library);
  const isGood = engine !== undefined && await agreesWithWebCrypto(engine);
  logger.info("{engine} signs", { engine: isGood ? "OpenSSL" : "WebCrypto" });
  return isGood ? engine : undefined;
}

class OpensslEngine implements SignatureEngine {
  readonly #library: Libcrypto;
  /** One key object per curve, used again: to make one costs a fifth of a verification. */
  readonly #verifying: Partial<Record<EcAlgorithm, Deno.PointerValue>> = {};
  /** The buffer of signatures that are made on this thread. */
  readonly #signature = new Uint8Array(maxSignatureBytes);
  readonly #keys = new WeakMap<CryptoKey, Promise<LoadedKey>>();
  /** Frees a key in the library when its CryptoKey is collected. */
  readonly #unused = new FinalizationRegistry<LoadedKey>((key) => this.#free(key));
  /** Keeps objects alive that the library uses on another thread. */
  readonly #inUse = new Set<readonly unknown[]>();

  constructor(library: Libcrypto) {
    this.#library = library;
  }

  async sign(key: CryptoKey, algorithm: KeyAlgorithm, bytes: Uint8Array): Promise<Uint8Array> {
    const loaded = this.#keys.get(key) ?? this.#loadCached(key, algorithm);
    const { kind, pointer } = await loaded;
    if (kind === "other") return await this.#signWith(key, pointer, algorithm, bytes);
    const digest = this.#digest(algorithm === "ecdsa-p384" ? "SHA-384" : "SHA-256", bytes);
    const signature = this.#signature;
    const length = new Uint32Array(1);
    const { ECDSA_sign } = this.#library;
    const done = ECDSA_sign(0, digest, digest.length, signature, bytesOf(length), pointer);
    if (done !== 1) throw this.#failure("sign");
    return signature.slice(0, length[0]);
  }

  async verify(signed: SignatureToVerify): Promise<boolean> {
    const { spki, scheme, signature, bytes } = signed;
    const algorithm = recognizePublicKey(spki);
    // WebCrypto verifies the rare schemes.
    if (!algorithm || scheme.name === "RSA-PSS" || scheme.hash === "SHA-1") {
      return await webCryptoEngine.verify(signed);
    }
    if (scheme.name === "ECDSA") {
      if (algorithm !== "ecdsa-p256" && algorithm !== "ecdsa-p384") return false;
      const digest = this.#digest(scheme.hash, bytes);
      const point = spki.subarray(algorithm === "ecdsa-p256" ? -65 : -97);
      return this.#verifyEc(algorithm, point, digest, signature);
    }
    const isRsa = scheme.name === "RSASSA-PKCS1-v1_5";
    if (isRsa !== algorithm.startsWith("rsa") || (!isRsa && algorithm !== "ed25519")) return false;
    return this.#verifyOther(signed, scheme.hash);
  }

  #verifyEc(
    curve: EcAlgorithm,
    point: Uint8Array,
    digest: Uint8Array<ArrayBuffer>,
    signature: Uint8Array,
  ): boolean {
    const library = this.#library;
    const key = this.#verifying[curve] ??= library.EC_KEY_new_by_curve_name(curveNumbers[curve]);
    // Rejects a point that is not on the curve.
    const isKey = library.EC_KEY_oct2key(key, ffiBytes(point), BigInt(point.length), null) === 1;
    const bytes = ffiBytes(signature);
    const good = isKey &&
      library.ECDSA_verify(0, digest, digest.length, bytes, bytes.length, key) === 1;
    if (!good) library.ERR_clear_error();
    return good;
  }

  #verifyOther(
    { spki, signature, bytes }: SignatureToVerify,
    hash: "SHA-256" | "SHA-384" | "SHA-512" | undefined,
  ): boolean {
    const library = this.#library;
    const key = decodeKey(library, spki, library.d2i_PUBKEY_bio);
    const context = library.EVP_MD_CTX_new();
    try {
      const method = hash === undefined ? null : digestMethod(library, hash);
      const lengths = [BigInt(signature.length), BigInt(bytes.length)] as const;
      const [signed, content] = [ffiBytes(signature), ffiBytes(bytes)];
      const good = key !== null &&
        library.EVP_DigestVerifyInit(context, null, method, null, key) === 1 &&
        library.EVP_DigestVerify(context, signed, lengths[0], content, lengths[1]) === 1;
      if (!good) library.ERR_clear_error();
      return good;
    } finally {
      library.EVP_MD_CTX_free(context);
      library.EVP_PKEY_free(key);
    }
  }

  async #signWith(
    key: CryptoKey,
    pointer: Deno.PointerObject,
    algorithm: KeyAlgorithm,
    bytes: Uint8Array,
  ): Promise<Uint8Array> {
    const library = this.#library;
    const isRsa = algorithm.startsWith("rsa");
    const signature = new Uint8Array(maxSignatureBytes);
    const length = new BigUint64Array([BigInt(maxSignatureBytes)]);
    const held = [key, bytes, signature, length];
    const context = library.EVP_MD_CTX_new();
    this.#inUse.add(held);
    try {
      const hash = isRsa ? library.EVP_sha256() : null;
      if (library.EVP_DigestSignInit(context, null, hash, null, pointer) !== 1) {
        throw this.#failure("start a signature");
      }
      const call = isRsa ? library.EVP_DigestSign_nonblocking : library.EVP_DigestSign;
      const size = BigInt(bytes.length);
      const done = await call(context, signature, bytesOf(length), ffiBytes(bytes), size);
      if (done !== 1) throw this.#failure("sign");
      return signature.slice(0, Number(length[0]));
    } finally {
      this.#inUse.delete(held);
      library.EVP_MD_CTX_free(context);
    }
  }

  #loadCached(key: CryptoKey, algorithm: KeyAlgorithm): Promise<LoadedKey> {
    const loaded = this.#load(key, algorithm);
    this.#keys.set(key, loaded);
    loaded.then((loadedKey) => this.#unused.register(key, loadedKey), () => this.#keys.delete(key));
    return loaded;
  }

  async #load(key: CryptoKey, algorithm: KeyAlgorithm): Promise<LoadedKey> {
    const library = this.#library;
    const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", key));
    try {
      if (algorithm !== "ecdsa-p256" && algorithm !== "ecdsa-p384") {
        const pointer = decodeKey(library, pkcs8, library.d2i_PrivateKey_bio);
        if (pointer === null) throw this.#failure("load a key");
        return { kind: "other", pointer };
      }
      const scalar = readEcPrivateKey(pkcs8)?.scalar;
      const pointer = library.EC_KEY_new_by_curve_name(curveNumbers[algorithm]);
      if (pointer === null || scalar === undefined) throw this.#failure("load a key");
      if (library.EC_KEY_oct2priv(pointer, ffiBytes(scalar), BigInt(scalar.length)) !== 1) {
        library.EC_KEY_free(pointer);
        throw this.#failure("load a key");
      }
      return { kind: "ec", pointer };
    } finally {
      pkcs8.fill(0);
    }
  }

  #digest(hash: keyof typeof digestLengths, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
    const { SHA256, SHA384, SHA512 } = this.#library;
    const make = hash === "SHA-512" ? SHA512 : hash === "SHA-384" ? SHA384 : SHA256;
    const digest = new Uint8Array(digestLengths[hash]);
    make(ffiBytes(bytes), BigInt(bytes.length), digest);
    return digest;
  }

  #free({ kind, pointer }: LoadedKey): void {
    const { EC_KEY_free, EVP_PKEY_free } = this.#library;
    (kind === "ec" ? EC_KEY_free : EVP_PKEY_free)(pointer);
  }

  /** Does not contain OpenSSL's own text, which can describe a key. */
  #failure(what: string): Error {
    this.#library.ERR_clear_error();
    return new Error(`OpenSSL could not ${what}`);
  }
}

function bytesOf({ buffer }: Uint32Array<ArrayBuffer> | BigUint64Array<ArrayBuffer>) {
  return new Uint8Array(buffer);
}

/** Whether each engine verifies a signature of the other, and this engine rejects a wrong one. */
async function agreesWithWebCrypto(engine: SignatureEngine): Promise<boolean> {
  try {
    const parameters = { name: "ECDSA", namedCurve: "P-256" };
    const keys = await crypto.subtle.generateKey(parameters, true, ["sign", "verify"]);
    const { privateKey, publicKey } = keys as CryptoKeyPair;
    const spki = new Uint8Array(await crypto.subtle.exportKey("spki", publicKey));
    const bytes = crypto.getRandomValues(new Uint8Array(64));
    const scheme = { name: "ECDSA", hash: "SHA-256" } as const;
    const reference = await webCryptoEngine.sign(privateKey, "ecdsa-p256", bytes);
    const own = await engine.sign(privateKey, "ecdsa-p256", bytes);
    const changed = bytes.map((byte, index) => index === 0 ? byte ^ 1 : byte);
    return await engine.verify({ spki, scheme, signature: reference, bytes }) &&
      await webCryptoEngine.verify({ spki, scheme, signature: own, bytes }) &&
      !await engine.verify({ spki, scheme, signature: reference, bytes: changed });
  } catch {
    return false;
  }
}
