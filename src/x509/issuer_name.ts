import { type Certificate, readFields } from "./certificate.ts";
import { sameOctets } from "./der.ts";
import { Name } from "./peculiar.ts";

/** One name per CA certificate, not per leaf. */
const names = new WeakMap<Certificate, Name>();

/**
 * A CA's subject as the issuer of leaves, or undefined where it would not be written as it was read
 * (text that is not of its encoding): names are compared octet by octet.
 */
export function issuerName(certificate: Certificate): Name | undefined {
  const known = names.get(certificate);
  if (known) return known;
  const subject = readFields(certificate.der)?.subject;
  if (subject === undefined) return undefined;
  const name = new Name(new Uint8Array(subject));
  if (!sameOctets(new Uint8Array(name.toArrayBuffer()), subject)) return undefined;
  names.set(certificate, name);
  return name;
}
