import {
  bitString,
  element,
  encode,
  type Part,
  sequence,
  time,
  unsignedInteger,
} from "./der_writing.ts";

/** What is signed of a certificate, its parts as DER. */
export interface CertificateFields {
  /** Hexadecimal. */
  readonly serialNumber: string;
  /** An AlgorithmIdentifier, of the signature. */
  readonly algorithm: Uint8Array;
  readonly issuer: Part;
  readonly notBefore: Temporal.Instant;
  readonly notAfter: Temporal.Instant;
  readonly subject: Part;
  /** SubjectPublicKeyInfo. */
  readonly spki: Uint8Array;
  readonly extensions: readonly Part[];
}

const version3 = encode(element(0xa0, Uint8Array.of(0x02, 0x01, 0x02)));

/** The DER of a certificate (RFC 5280, 4.1); fractions of seconds are cut off its validity. */
export async function writeCertificate(
  fields: CertificateFields,
  sign: (signed: Uint8Array) => Promise<Uint8Array>,
): Promise<Uint8Array> {
  const { algorithm } = fields;
  const signed = encode(sequence(
    version3,
    unsignedInteger(Uint8Array.fromHex(fields.serialNumber)),
    algorithm,
    fields.issuer,
    sequence(time(fields.notBefore), time(fields.notAfter)),
    fields.subject,
    fields.spki,
    element(0xa3, sequence(...fields.extensions)),
  ));
  // RFC 5280, 4.1: the algorithm is repeated outside of what is signed.
  return encode(sequence(signed, algorithm, bitString(await sign(signed))));
}
