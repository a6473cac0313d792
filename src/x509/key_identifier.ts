import { readSequence } from "./der.ts";

/** A subjectKeyIdentifier: the first 160 bits of the key's SHA-256 (RFC 7093, section 2, method 1). */
export async function keyIdentifier(spki: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const [, key] = readSequence(spki) ?? [];
  if (key === undefined) throw new TypeError("not a SubjectPublicKeyInfo");
  // The BIT STRING's first octet counts its unused bits and is no part of the key.
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(key.content.subarray(1)));
  return new Uint8Array(digest.slice(0, 20));
}
