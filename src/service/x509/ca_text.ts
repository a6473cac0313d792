import { readElements } from "../../shared/crypto/der_reader.ts";

/**
 * Recognises what is not PEM by its beginning, and states how to convert it; undefined for anything else. The text has
 * a character for each byte, as `decodePemBytes` makes it of bytes that are not UTF-8.
 */
export function describeOtherEncoding(text: string, target: string): string | undefined {
  if (
    text.includes("\0") &&
    /^(?:\u00ff\u00fe|\u00fe\u00ff|\ufffd\ufffd|\ufeff)?\0?[-#A-Za-z]/.test(text)
  ) {
    return `it is UTF-16; convert it with \`iconv -f UTF-16 -t UTF-8 FILE >${target}\``;
  }
  if (text.startsWith("0")) {
    const der = describeDer(bytesOf(text), target);
    if (der !== undefined) return der;
  }
  const decoded = fromBase64(text);
  if (decoded === undefined) return undefined;
  if (startsWithPem(decoded)) {
    return "it is PEM in base64: it was encoded twice; decode it once with " +
      `\`base64 -d FILE >${target}\`, or put it below stringData in the manifest`;
  }
  const der = describeDer(decoded, target);
  return der && "it is DER in base64, without the lines BEGIN and END; decode it with " +
      `\`base64 -d FILE >FILE.der\`, and continue with FILE.der: ${der}`;
}

/** The parts of DER say what it is; PKCS #12 is often BER, of which only the beginning is read. */
function describeDer(bytes: Uint8Array, target: string): string | undefined {
  if (bytes[0] !== 0x30 || bytes.length < 32) return undefined;
  const start = bytes.subarray(
    bytes[1] === 0x80 || (bytes[1] ?? 0) < 0x80 ? 2 : 2 + (bytes[1]! & 0x7f),
  );
  // PFX (RFC 7292, 4): the version is 3.
  if (start[0] === 0x02 && start[1] === 0x01 && start[2] === 0x03) {
    return target === "tls.key"
      ? "it is PKCS#12; take the key out with `openssl pkcs12 -in FILE -nocerts -noenc -out tls.key`"
      : "it is PKCS#12; take the certificates out with `openssl pkcs12 -in FILE -nokeys -out tls.crt`, " +
        "and the key with `openssl pkcs12 -in FILE -nocerts -noenc -out tls.key`";
  }
  // ContentInfo (RFC 2315, 7): signedData.
  if (start[0] === 0x06 && start[1] === 0x09) {
    return "it is PKCS#7; convert it with " +
      `\`openssl pkcs7 -inform DER -in FILE -print_certs -out ${target}\``;
  }
  if (readElements(bytes)?.length !== 1) return undefined;
  return start[0] === 0x30
    ? `it is a certificate in DER; convert it with \`openssl x509 -inform DER -in FILE -out ${target}\``
    : `it is a key in DER; convert it with \`openssl pkey -inform DER -in FILE -out ${target}\``;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0) & 0xff);
}

function fromBase64(text: string): Uint8Array | undefined {
  try {
    const bytes = Uint8Array.fromBase64(text, { lastChunkHandling: "strict" });
    return bytes.length < 32 ? undefined : bytes;
  } catch {
    return undefined;
  }
}

function startsWithPem(bytes: Uint8Array): boolean {
  return new TextDecoder().decode(bytes).includes("-----BEGIN ");
}
