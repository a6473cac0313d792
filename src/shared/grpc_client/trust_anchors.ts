import { Buffer } from "node:buffer";
import { X509Certificate } from "node:crypto";
import { decodePem, encodePem } from "../crypto/pem.ts";

/**
 * The CA certificates of a trust bundle (PEM), each block in its one form. Throws for one without any,
 * which node:tls would replace by the system's CAs.
 *
 * It throws for a block that is no certificate too: Deno 2.9 parses all CAs within a callback of the handshake, and
 * a broken one ends the process there.
 */
export function readTrustAnchors(pem: string, name = "the trust bundle"): string {
  const anchors = decodePem("CERTIFICATE", pem);
  if (anchors.length === 0) throw new Error(`${name} holds no PEM certificate`);
  for (const der of anchors) {
    if (!isCertificate(der)) {
      throw new Error(`${name} holds a certificate that cannot be read`);
    }
  }
  return anchors.map((der) => encodePem("CERTIFICATE", der)).join("");
}

function isCertificate(der: Uint8Array): boolean {
  try {
    return new X509Certificate(Buffer.from(der)).raw.length > 0;
  } catch {
    return false;
  }
}
