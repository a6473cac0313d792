import { decodePem, decodePemBytes } from "../../shared/crypto/pem.ts";
import { describeOtherEncoding } from "../x509/ca_text.ts";
import { readSecretManifest } from "./secret_manifest.ts";

/** A CA as files or a Secret's manifest contain it, not verified. */
export interface CaTexts {
  readonly kind: "texts";
  /** The CA's certificate first. */
  readonly certificatePem: string;
  /** Empty where no key was given. */
  readonly privateKeyPem: string;
}

type Refused = { readonly kind: "refused"; readonly problem: string };

interface NamedText {
  readonly name: string;
  readonly text: string;
}

const keyLabels = ["PRIVATE KEY", "ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];

/**
 * Puts the certificates and the key of files together, in their order. A file can also be the manifest of a Secret, as
 * kubectl prints it.
 */
export function readCaFiles(
  files: readonly { readonly name: string; readonly bytes: Uint8Array }[],
): CaTexts | Refused {
  const certificates: string[] = [];
  const keys: string[] = [];
  for (const { name, bytes } of files) {
    const parts = partsOf(name, decodePemBytes(bytes));
    if ("kind" in parts) return parts;
    for (const { name, text } of parts) {
      const hasCertificate = decodePem("CERTIFICATE", text).length > 0;
      const hasKey = keyLabels.some((label) => decodePem(label, text).length > 0);
      if (hasCertificate) certificates.push(text);
      if (hasKey) keys.push(text);
      if (hasCertificate || hasKey) continue;
      const target = /key/.test(name) ? "tls.key" : "tls.crt";
      const found = describeOtherEncoding(text, target) ??
        "it contains neither a PEM block CERTIFICATE nor a private key";
      return { kind: "refused", problem: `${name}: ${found}` };
    }
  }
  return {
    kind: "texts",
    certificatePem: certificates.join("\n"),
    privateKeyPem: keys.join("\n"),
  };
}

/** The file itself, or the entries of the Secret that it is a manifest of. */
function partsOf(name: string, text: string): NamedText[] | Refused {
  if (!/^[{]|^["']?(?:apiVersion|kind|items)["']?\s*:/m.test(text)) return [{ name, text }];
  const problem = (problem: string): Refused => ({
    kind: "refused",
    problem: `${name}: ${problem}`,
  });
  const secret = readSecretManifest(text);
  if (secret.kind === "refused") return problem(secret.problem);
  const parts: NamedText[] = [];
  for (const key of ["tls.crt", "tls.key", "ca.crt"]) {
    const entry = secret.entry(key);
    if (entry === undefined) continue;
    if (entry.text === undefined) return problem(`${key} of its Secret is not base64`);
    parts.push({ name: `${key} of the Secret in ${name}`, text: entry.text });
  }
  if (parts.length > 0) return parts;
  return problem("its Secret has none of tls.crt, tls.key and ca.crt");
}
