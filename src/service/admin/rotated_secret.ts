import { parseAllDocuments } from "yaml";
import { encodePem } from "../../shared/crypto/pem.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import { compromisedAnnotation, formerCaKeys, installed } from "../../shared/text/product_names.ts";
import type { NewCa } from "./init_ca.ts";

const certManagerAnnotation = "cert-manager.io/certificate-name";

/** The Secret with the CA that is to be replaced. */
export interface CurrentSecret {
  readonly namespace: string;
  readonly name: string;
  readonly type: string;
  readonly annotations: Readonly<Record<string, unknown>>;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Its ca.crt. */
  readonly furtherAnchorsPem: string | undefined;
}

type Read =
  | { readonly kind: "secret"; readonly secret: CurrentSecret }
  | { readonly kind: "refused"; readonly problems: string[] };

/** Reads the Secret as `kubectl get secret -o yaml` prints it (or `-o json`), or as a manifest contains it. */
export function readCurrentSecret(text: string): Read {
  let objects: unknown[];
  try {
    objects = parseAllDocuments(text).flatMap((document) => {
      if (document.errors.length > 0) throw new SyntaxError("not YAML");
      return [document.toJS() as unknown];
    });
  } catch {
    return refused("it is not YAML; expected the output of kubectl get secret NAME -o yaml");
  }
  const secrets = objects.filter(isObject).filter(({ kind }) => kind === "Secret");
  const [secret, another] = secrets;
  if (secret === undefined || another !== undefined) {
    return refused(
      `it contains ${secrets.length} Secrets; expected one, as kubectl get secret NAME -o yaml ` +
        "prints it",
    );
  }
  const data = isObject(secret.data) ? secret.data : {};
  const metadata = isObject(secret.metadata) ? secret.metadata : {};
  const [certificatePem, privateKeyPem, furtherAnchorsPem] = ["tls.crt", "tls.key", "ca.crt"]
    .map((key) => decode(data[key]));
  if (!certificatePem || !privateKeyPem) {
    return refused("its Secret has no tls.crt and tls.key in base64; expected those of the CA");
  }
  return {
    kind: "secret",
    secret: {
      namespace: textOf(metadata.namespace) ?? installed.namespace,
      name: textOf(metadata.name) ?? installed.caSecret,
      type: textOf(secret.type) ?? "kubernetes.io/tls",
      annotations: isObject(metadata.annotations) ? metadata.annotations : {},
      certificatePem,
      privateKeyPem,
      furtherAnchorsPem,
    },
  };
}

/** Why this Secret must not be replaced by a rotated one; undefined when it may. */
export function rotationProblem({ annotations }: CurrentSecret): string | undefined {
  if (annotations[certManagerAnnotation] !== undefined) {
    return "cert-manager makes this Secret, and would overwrite another CA: " +
      "renew its Certificate, as with cmctl renew";
  }
  if (annotations[compromisedAnnotation] === "true") {
    return `the Secret has the annotation ${compromisedAnnotation}, which would mark the present ` +
      `key as compromised: remove it with ${compromisedAnnotation}-`;
  }
}

/**
 * The Secret with a new CA, for `kubectl apply -f -`. It also contains the present pair, so that a
 * replica that starts during the rotation signs with that one until the new CA signs.
 */
export function rotatedSecret(
  { namespace, name, type, certificatePem, privateKeyPem, furtherAnchorsPem }: CurrentSecret,
  ca: NewCa,
): string {
  const furtherAnchors = withoutOwn(furtherAnchorsPem ?? "", certificatePem);
  const entries = {
    "tls.crt": ca.certificatePem,
    "tls.key": ca.privateKeyPem,
    ...(furtherAnchors === "" ? {} : { "ca.crt": furtherAnchors }),
    [formerCaKeys.certificate]: certificatePem,
    [formerCaKeys.privateKey]: privateKeyPem,
  };
  return `apiVersion: v1
kind: Secret
metadata:
  name: ${name}
  namespace: ${namespace}
type: ${type}
data:
${Object.entries(entries).map(([key, pem]) => `  ${key}: ${btoa(pem)}\n`).join("")}`;
}

/** The roots of ca.crt but the CA's own certificates, which would be trusted for as long as it has them. */
function withoutOwn(pem: string, ownPem: string): string {
  const own = new Set((readCertificates(ownPem) ?? []).map(({ der }) => der.toBase64()));
  return (readCertificates(pem) ?? []).filter(({ der }) => !own.has(der.toBase64()))
    .map(({ der }) => encodePem("CERTIFICATE", der)).join("");
}

function decode(encoded: unknown): string | undefined {
  if (typeof encoded !== "string" || encoded === "") return undefined;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.fromBase64(encoded));
  } catch {
    return undefined;
  }
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function refused(problem: string): Read {
  return { kind: "refused", problems: [problem] };
}
