import { isOctetBits, readSequence } from "./der.ts";
import {
  exportPublicKey,
  importPublicKey,
  type KeyAlgorithm,
  signatureParameters,
} from "./keys.ts";
import { Pkcs10CertificateRequest, Pkcs10CertificateRequestGenerator } from "./peculiar.ts";

/** An RSA-4096 request with a few extensions takes 2 KiB. */
const maxRequestBytes = 8 * 1024;

type Refused = { kind: "refused"; problem: string };

/** A PKCS #10 request (RFC 2986) as DER; it proves possession of the key and asks for no name. */
export async function createCertificateRequest(keyPair: CryptoKeyPair): Promise<Uint8Array> {
  const key = await importPublicKey(await exportPublicKey(keyPair.publicKey));
  if (key.kind === "refused") throw new TypeError(key.problem);
  const request = await Pkcs10CertificateRequestGenerator.create({
    keys: keyPair,
    signingAlgorithm: signatureParameters(key.algorithm),
  });
  return new Uint8Array(request.rawData);
}

/** The key that a PKCS #10 request (RFC 2986) proves possession of; its names are not read. */
export async function parseCertificateRequest(
  der: Uint8Array,
): Promise<
  | { kind: "request"; publicKey: CryptoKey; spki: Uint8Array; algorithm: KeyAlgorithm }
  | Refused
> {
  if (der.length > maxRequestBytes) {
    return refused(`has ${der.length} octets; at most ${maxRequestBytes} are accepted`);
  }
  const spki = readPublicKey(der);
  if (spki === undefined) return refused("is not a PKCS #10 request in DER (RFC 2986)");
  const key = await importPublicKey(spki);
  if (key.kind === "refused") return refused(`cannot be signed: ${key.problem}`);
  if (!await isSigned(der)) {
    return refused("does not bear a good signature by its own key");
  }
  const { publicKey, algorithm } = key;
  return { kind: "request", publicKey, spki: await exportPublicKey(publicKey), algorithm };
}

function readPublicKey(der: Uint8Array): Uint8Array | undefined {
  const [signed, algorithm, signature, ...rest] = readSequence(der) ?? [];
  if (!signed || algorithm?.tag !== 0x30 || !isOctetBits(signature) || rest.length > 0) {
    return undefined;
  }
  const [version, subject, spki, attributes, ...more] = readSequence(signed.whole) ?? [];
  if (version?.tag !== 0x02 || subject?.tag !== 0x30 || spki?.tag !== 0x30) return undefined;
  if (attributes?.tag !== 0xa0 || more.length > 0) return undefined;
  return spki.whole;
}

async function isSigned(der: Uint8Array): Promise<boolean> {
  try {
    return await new Pkcs10CertificateRequest(new Uint8Array(der)).verify();
  } catch {
    return false;
  }
}

function refused(problem: string): Refused {
  return { kind: "refused", problem: `the certificate request ${problem}` };
}
