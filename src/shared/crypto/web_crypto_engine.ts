import { readSequence } from "./der_reader.ts";
import { readUnsigned } from "./der_values.ts";
import { derSequence, derUnsignedInteger, encodeDer } from "./der_writer.ts";
import type { KeyAlgorithm } from "./key_algorithm.ts";
import { signatureParameters } from "./key_pairs.ts";
import { curves, type PublicKeyParts, readPublicKey } from "./public_key.ts";
import type { SignatureEngine, SignatureToVerify } from "./signature_engine.ts";
import type { SignatureScheme } from "./signature_scheme.ts";

/** The runtime's own cryptography: always there. */
export const webCryptoEngine: SignatureEngine = {
  async sign(key: CryptoKey, algorithm: KeyAlgorithm, bytes: Uint8Array): Promise<Uint8Array> {
    const parameters = signatureParameters(algorithm);
    const signature = await crypto.subtle.sign(parameters, key, bytes as BufferSource);
    const raw = new Uint8Array(signature);
    return parameters.name === "ECDSA" ? numbersOf(raw) : raw;
  },

  async verify({ spki, scheme, signature, bytes }: SignatureToVerify): Promise<boolean> {
    const parts = readPublicKey(spki);
    const form = parts && formOf(parts, scheme);
    const raw = form?.width === undefined ? signature : pointForm(signature, form.width);
    if (form === undefined || raw === undefined) return false;
    try {
      const der = spki as BufferSource;
      const key = await crypto.subtle.importKey("spki", der, form.parameters, true, ["verify"]);
      return await crypto.subtle.verify(
        scheme as { name: string },
        key,
        raw as BufferSource,
        bytes as BufferSource,
      );
    } catch {
      return false;
    }
  },
};

/** Bytes of one of a signature's numbers, by curve. */
const widths: Readonly<Record<keyof typeof curves, number>> = {
  "P-256": 32,
  "P-384": 48,
  "P-521": 66,
};

/** WebCrypto's parameters of a key that verifies such a signature. */
function formOf({ kind, curve }: PublicKeyParts, scheme: SignatureScheme) {
  const { name, hash } = scheme;
  if (kind === "ed25519") {
    return name === "Ed25519" ? { parameters: { name }, width: undefined } : undefined;
  }
  if (kind === "rsa") {
    const fits = name === "RSASSA-PKCS1-v1_5" || name === "RSA-PSS";
    return fits ? { parameters: { name, hash }, width: undefined } : undefined;
  }
  for (const [namedCurve, width] of Object.entries(widths)) {
    if (name !== "ECDSA" || curves[namedCurve as keyof typeof curves] !== curve) continue;
    return { parameters: { name, namedCurve }, width };
  }
}

/** An ECDSA signature as WebCrypto takes it: two numbers of a fixed width. */
function pointForm(signature: Uint8Array, width: number): Uint8Array | undefined {
  const numbers = readSequence(signature)?.map(readUnsigned) ?? [];
  const bytes = new Uint8Array(2 * width);
  if (numbers.length !== 2) return undefined;
  for (const [index, number] of numbers.entries()) {
    if (number === undefined || number.length > width) return undefined;
    bytes.set(number, (index + 1) * width - number.length);
  }
  return bytes;
}

/** An ECDSA signature as certificates carry it. */
function numbersOf(raw: Uint8Array): Uint8Array {
  const width = raw.length / 2;
  return encodeDer(derSequence(
    derUnsignedInteger(raw.subarray(0, width)),
    derUnsignedInteger(raw.subarray(width)),
  ));
}
