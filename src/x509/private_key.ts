import { isOctetBits, readElements, readSequence } from "./der.ts";
import { bitString, objectIdentifier, sequence } from "./der_writing.ts";

const ecPublicKey = objectIdentifier("1.2.840.10045.2.1");

/**
 * The SubjectPublicKeyInfo that a PKCS #8 EC key carries beside its private number (RFC 5915, 3),
 * or undefined where it carries none. To find it from the number takes as long as a signature.
 */
export function enclosedPublicKey(pkcs8: Uint8Array): Uint8Array | undefined {
  const [, algorithm, octets] = readSequence(pkcs8) ?? [];
  const [type, curve, ...rest] = readSequence(algorithm?.whole ?? pkcs8) ?? [];
  if (octets?.tag !== 0x04 || curve?.tag !== 0x06 || rest.length > 0) return undefined;
  if (type?.whole.toHex() !== ecPublicKey.toHex()) return undefined;
  const [, , ...options] = readSequence(octets.content) ?? [];
  const enclosed = options.find(({ tag }) => tag === 0xa1);
  const [point, ...more] = readElements(enclosed?.content ?? new Uint8Array()) ?? [];
  if (!isOctetBits(point) || more.length > 0) return undefined;
  return sequence(sequence(type.whole, curve.whole), bitString(point.content.subarray(1)));
}
