import { readSequence } from "../crypto/der_reader.ts";
import { latin1 } from "../crypto/der_values.ts";
import { derAsciiString, derSequence, element } from "../crypto/der_writer.ts";
import { parseIpAddress } from "../text/name_syntax.ts";

/** The names of a subjectAltName (RFC 5280, 4.2.1.6) that we certify; others are passed over. */
export interface SubjectAlternativeNames {
  readonly dnsNames: string[];
  readonly ipAddresses: string[];
  readonly uris: string[];
}

const dnsTag = 0x82;
const uriTag = 0x86;
const ipTag = 0x87;

/** Reads the value of a subjectAltName, or undefined if it is none. */
export function readSubjectAlternativeNames(der: Uint8Array): SubjectAlternativeNames | undefined {
  const elements = readSequence(der);
  if (elements === undefined) return undefined;
  const names = { dnsNames: [] as string[], ipAddresses: [] as string[], uris: [] as string[] };
  for (const { tag, content } of elements) {
    if (tag === dnsTag) names.dnsNames.push(latin1(content));
    else if (tag === uriTag) names.uris.push(latin1(content));
    else if (tag === ipTag) {
      const text = ipText(content);
      if (text === undefined) return undefined;
      names.ipAddresses.push(text);
    }
  }
  return names;
}

/** The value of a subjectAltName; throws a TypeError for what a certificate cannot contain. */
export function writeSubjectAlternativeNames(
  { dnsNames, ipAddresses, uris }: SubjectAlternativeNames,
) {
  return derSequence(
    ...dnsNames.map((name) => derAsciiString(dnsTag, name)),
    ...ipAddresses.map((address) => element(ipTag, ipBytes(address))),
    ...uris.map((uri) => derAsciiString(uriTag, uri)),
  );
}

function ipText(bytes: Uint8Array): string | undefined {
  if (bytes.length === 4) return bytes.join(".");
  if (bytes.length !== 16) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) => bytes.subarray(2 * index).subarray(0, 2));
  return parseIpAddress(groups.map((group) => group.toHex()).join(":"));
}

/** The bytes of an IP address; throws a TypeError for what is none. */
export function ipBytes(text: string): Uint8Array {
  const address = parseIpAddress(text);
  if (address === undefined) throw new TypeError(`"${text}" is not an IP address`);
  if (!address.includes(":")) return Uint8Array.from(address.split("."), Number);
  const [head = "", tail = ""] = address.split("::");
  const [before, after] = [head, tail].map((part) => part === "" ? [] : part.split(":"));
  const zeros = new Array<string>(8 - before!.length - after!.length).fill("0");
  return Uint8Array.fromHex(
    [...before!, ...zeros, ...after!].map((group) => group.padStart(4, "0")).join(""),
  );
}
