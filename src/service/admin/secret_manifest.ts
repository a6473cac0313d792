import { parseAllDocuments } from "yaml";
import { decodePemBytes } from "../../shared/crypto/pem.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A Secret as kubectl prints it, or as a manifest contains it. */
export interface SecretManifest {
  readonly kind: "secret";
  readonly type: unknown;
  readonly metadata: Fields;
  /** The PEM of an entry; undefined where the Secret does not have it, or has something else than base64. */
  readonly entry: (key: string) => { readonly text: string | undefined } | undefined;
}

/** Reads the one Secret among the objects of a manifest, in YAML or JSON, also in a list. */
export function readSecretManifest(
  text: string,
): SecretManifest | { readonly kind: "refused"; readonly problem: string } {
  let objects: unknown[];
  try {
    objects = parseAllDocuments(text).flatMap((document) => {
      if (document.errors.length > 0) throw new SyntaxError("not YAML");
      const object: unknown = document.toJS();
      return isObject(object) && Array.isArray(object.items) ? object.items : [object];
    });
  } catch {
    const problem = "it is not YAML; expected the output of kubectl get secret NAME -o yaml";
    return { kind: "refused", problem };
  }
  const secrets = objects.filter(isObject).filter(({ kind }) => kind === "Secret");
  const [secret] = secrets;
  if (secret === undefined || secrets.length > 1) {
    const problem =
      `it contains ${secrets.length} Secrets; expected one, as kubectl get secret NAME -o yaml ` +
      "prints it";
    return { kind: "refused", problem };
  }
  const { type, metadata, data, stringData } = secret;
  const entry = (key: string) => {
    const [plain, encoded] = [stringData, data].map((one) => isObject(one) ? one[key] : undefined);
    if (typeof plain === "string") return { text: plain };
    return typeof encoded === "string" && encoded !== "" ? { text: decode(encoded) } : undefined;
  };
  return { kind: "secret", type, metadata: isObject(metadata) ? metadata : {}, entry };
}

function decode(encoded: string): string | undefined {
  try {
    return decodePemBytes(Uint8Array.fromBase64(encoded));
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
