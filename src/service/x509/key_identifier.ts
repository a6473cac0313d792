import { createHash } from "node:crypto";
import { readSequence } from "../../shared/crypto/der_reader.ts";

/** A subjectKeyIdentifier: the first 160 bits of the key's SHA-256 (RFC 7093, section 2, method 1). */
export function keyIdentifier(spki: Uint8Array): Uint8Array {
  const [, key] = readSequence(spki) ?? [];
  if (key === undefined) throw new TypeError("not a SubjectPublicKeyInfo");
  // The BIT STRING's first byte counts its unused bits and is no part of the key.
  return createHash("sha256").update(key.content.subarray(1)).digest().subarray(0, 20);
}
