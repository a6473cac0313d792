import { equalBytes, isByteAlignedBitString, readElements, readSequence } from "./der_reader.ts";
import { derBitString, derObjectIdentifier, derSequence, encodeDer } from "./der_writer.ts";

const ecPublicKey = encodeDer(derObjectIdentifier("1.2.840.10045.2.1"));

/** An EC private key (RFC 5915, 3) in PKCS #8. */
export interface EcPrivateKey {
  /** The secret, as bytes of the curve's width. */
  readonly scalar: Uint8Array;
  /** Of the public key that the DER also contains, if it does; computing one takes as long as a signature. */
  readonly spki: Uint8Array | undefined;
}

/** The parts of an EC key in PKCS #8, which are views into it; undefined for keys of other kinds. */
export function readEcPrivateKey(pkcs8: Uint8Array): EcPrivateKey | undefined {
  const [, algorithm, octetString] = readSequence(pkcs8) ?? [];
  const [type, curve, ...rest] = readSequence(algorithm?.whole ?? pkcs8) ?? [];
  if (octetString?.tag !== 0x04 || curve?.tag !== 0x06 || rest.length > 0) return undefined;
  if (!type || !equalBytes(type.whole, ecPublicKey)) return undefined;
  const [, scalar, ...options] = readSequence(octetString.content) ?? [];
  if (scalar?.tag !== 0x04) return undefined;
  const enclosed = options.find(({ tag }) => tag === 0xa1);
  const [point, ...more] = readElements(enclosed?.content ?? new Uint8Array()) ?? [];
  const spki = isByteAlignedBitString(point) && more.length === 0
    ? encodeDer(
      derSequence(derSequence(type.whole, curve.whole), derBitString(point.content.subarray(1))),
    )
    : undefined;
  return { scalar: scalar.content, spki };
}
