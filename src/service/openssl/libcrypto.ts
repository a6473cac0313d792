/** The functions of OpenSSL's libcrypto for signatures. */

/** The paths of OpenSSL 3, which `--allow-ffi` has to list. Distroless images contain the first two. */
export const libcryptoPaths: readonly string[] = [
  "/usr/lib/x86_64-linux-gnu/libcrypto.so.3",
  "/usr/lib/aarch64-linux-gnu/libcrypto.so.3",
  "/usr/lib64/libcrypto.so.3",
  "/usr/lib/libcrypto.so.3",
];

const symbols = {
  OPENSSL_init_crypto: { parameters: ["u64", "pointer"], result: "i32" },
  ERR_clear_error: { parameters: [], result: "void" },
  BIO_new_mem_buf: { parameters: ["buffer", "i32"], result: "pointer" },
  BIO_free: { parameters: ["pointer"], result: "i32" },
  d2i_PrivateKey_bio: { parameters: ["pointer", "pointer"], result: "pointer" },
  d2i_PUBKEY_bio: { parameters: ["pointer", "pointer"], result: "pointer" },
  EVP_PKEY_free: { parameters: ["pointer"], result: "void" },
  EVP_MD_CTX_new: { parameters: [], result: "pointer" },
  EVP_MD_CTX_free: { parameters: ["pointer"], result: "void" },
  SHA256: { parameters: ["buffer", "usize", "buffer"], result: "pointer" },
  SHA384: { parameters: ["buffer", "usize", "buffer"], result: "pointer" },
  SHA512: { parameters: ["buffer", "usize", "buffer"], result: "pointer" },
  EVP_sha256: { parameters: [], result: "pointer" },
  EVP_sha384: { parameters: [], result: "pointer" },
  EVP_sha512: { parameters: [], result: "pointer" },
  EVP_DigestSignInit: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer"],
    result: "i32",
  },
  EVP_DigestSign: {
    parameters: ["pointer", "buffer", "buffer", "buffer", "usize"],
    result: "i32",
  },
  // On another thread, because an RSA signature takes milliseconds.
  EVP_DigestSign_nonblocking: {
    name: "EVP_DigestSign",
    parameters: ["pointer", "buffer", "buffer", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  EVP_DigestVerifyInit: {
    parameters: ["pointer", "pointer", "pointer", "pointer", "pointer"],
    result: "i32",
  },
  EVP_DigestVerify: {
    parameters: ["pointer", "buffer", "usize", "buffer", "usize"],
    result: "i32",
  },
  // On another thread, because unauthenticated callers decide how many of these there are.
  EVP_DigestVerify_nonblocking: {
    name: "EVP_DigestVerify",
    parameters: ["pointer", "buffer", "usize", "buffer", "usize"],
    result: "i32",
    nonblocking: true,
  },
  // Deprecated, and ten times as fast as OpenSSL 3's own way to decode an EC key.
  EC_KEY_new_by_curve_name: { parameters: ["i32"], result: "pointer" },
  EC_KEY_oct2key: { parameters: ["pointer", "buffer", "usize", "pointer"], result: "i32" },
  EC_KEY_oct2priv: { parameters: ["pointer", "buffer", "usize"], result: "i32" },
  EC_KEY_free: { parameters: ["pointer"], result: "void" },
  ECDSA_sign: {
    parameters: ["i32", "buffer", "i32", "buffer", "buffer", "pointer"],
    result: "i32",
  },
  ECDSA_verify: {
    parameters: ["i32", "buffer", "i32", "buffer", "i32", "pointer"],
    result: "i32",
  },
} as const satisfies Deno.ForeignLibraryInterface;

/** The functions of the library. */
export type Libcrypto = Deno.DynamicLibrary<typeof symbols>["symbols"];

/** OPENSSL_INIT_NO_LOAD_CONFIG: a configuration file could load other libraries into this process. */
const noConfiguration = 0x80n;

/** Opens the first library that exists and that this process may call; undefined without one. */
export function openLibcrypto(): Libcrypto | undefined {
  for (const path of libcryptoPaths) {
    if (Deno.permissions.querySync({ name: "ffi", path }).state !== "granted") continue;
    try {
      const library = Deno.dlopen(path, symbols);
      if (library.symbols.OPENSSL_init_crypto(noConfiguration, null) === 1) return library.symbols;
      library.close();
    } catch {
      // The file does not exist, or lacks one of the functions.
    }
  }
}

/** The type that FFI accepts: these bytes are never in memory that threads share. */
export function ffiBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes as Uint8Array<ArrayBuffer>;
}

/** Decodes a key, to be freed by EVP_PKEY_free; null when OpenSSL does not accept it. */
export function decodeKey(
  library: Libcrypto,
  der: Uint8Array,
  decode: Libcrypto["d2i_PUBKEY_bio"] | Libcrypto["d2i_PrivateKey_bio"],
): Deno.PointerValue {
  const source = library.BIO_new_mem_buf(ffiBytes(der), der.length);
  const key = decode(source, null);
  library.BIO_free(source);
  return key;
}

/** OpenSSL's object for a hash function. */
export function digestMethod(
  { EVP_sha256, EVP_sha384, EVP_sha512 }: Libcrypto,
  hash: "SHA-256" | "SHA-384" | "SHA-512",
): Deno.PointerValue {
  return hash === "SHA-512" ? EVP_sha512() : hash === "SHA-384" ? EVP_sha384() : EVP_sha256();
}
