import { createHash } from "node:crypto";
import type { Certificate } from "./certificate.ts";

/** SHA-256 over certificates, lower-case hexadecimal; of one certificate as OpenSSL prints it, without colons. */
export function computeFingerprint(certificates: readonly Certificate[]): string {
  const hash = createHash("sha256");
  for (const { der } of certificates) hash.update(der);
  return hash.digest("hex");
}
