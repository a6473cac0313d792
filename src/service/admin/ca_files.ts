import { parseAllDocuments } from "yaml";
import { decodePem, decodePemBytes } from "../../shared/crypto/pem.ts";
import { describeOtherEncoding } from "../x509/ca_text.ts";

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
  let objects: unknown[];
  try {
    objects = parseAllDocuments(text).flatMap((document) => {
      if (document.errors.length > 0) throw new SyntaxError("not YAML");
      const object: unknown = document.toJS();
      return isObject(object) && Array.isArray(object.items) ? object.items : [object];
    });
  } catch {
    return problem("it is not YAML");
  }
  const [secret, another] = objects.filter(isObject).filter(({ kind }) => kind === "Secret");
  if (secret === undefined || another !== undefined) {
    return problem(
      "expected the manifest of one Secret, as kubectl get secret NAME -o yaml prints it",
    );
  }
  const parts = ["tls.crt", "tls.key", "ca.crt"].flatMap((key) => entryOf(secret, name, key) ?? []);
  const broken = parts.find((part) => part.text === undefined);
  if (broken !== undefined) return problem(`${broken.key} of its Secret is not base64`);
  if (parts.length === 0) return problem("its Secret has none of tls.crt, tls.key and ca.crt");
  return parts.map(({ name, text }) => ({ name, text: text ?? "" }));
}

function entryOf(secret: Readonly<Record<string, unknown>>, file: string, key: string) {
  const name = `${key} of the Secret in ${file}`;
  const [plain, encoded] = [secret.stringData, secret.data]
    .map((entries) => isObject(entries) ? entries[key] : undefined);
  if (typeof plain === "string") return { key, name, text: plain };
  if (typeof encoded !== "string" || encoded === "") return undefined;
  try {
    return { key, name, text: decodePemBytes(Uint8Array.fromBase64(encoded)) };
  } catch {
    return { key, name, text: undefined };
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
