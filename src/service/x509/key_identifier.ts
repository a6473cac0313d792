import { createHash } from "node:crypto";
import { readSequence } from "../../shared/crypto/der_reader.ts";

/** The subjectKeyIdentifier of a key: the first 160 bits of its SHA-256 (RFC 7093, section 2, method 1). */
export function keyIdentifier(spki: Uint8Array): Uint8Array {
  const [, key] = readSequence(spki) ?? [];
  if (key === undefined) throw new TypeError("not a SubjectPublicKeyInfo");
  // The first byte of the BIT STRING is the number of unused bits, and not part of the key.
  return createHash("sha256").update(key.content.subarray(1)).digest().subarray(0, 20);
}
