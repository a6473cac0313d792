import { encodePem } from "../../shared/crypto/pem.ts";
import { readCertificates } from "../../shared/x509/certificate.ts";
import { compromisedAnnotation, formerCaKeys, installed } from "../../shared/text/product_names.ts";
import type { NewCa } from "./init_ca.ts";
import { isObject, readSecretManifest } from "./secret_manifest.ts";

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
  | { readonly kind: "refused"; readonly problem: string };

/** Reads the Secret as `kubectl get secret -o yaml` prints it (or `-o json`), or as a manifest contains it. */
export function readCurrentSecret(text: string): Read {
  const manifest = readSecretManifest(text);
  if (manifest.kind === "refused") return manifest;
  const { type, metadata, entry } = manifest;
  const [certificatePem, privateKeyPem] = ["tls.crt", "tls.key"].map((key) => entry(key)?.text);
  const furtherAnchors = entry("ca.crt");
  if (!certificatePem || !privateKeyPem) {
    return refused("its Secret has no tls.crt and tls.key in base64; expected those of the CA");
  }
  // The new Secret would lack its roots.
  if (furtherAnchors !== undefined && furtherAnchors.text === undefined) {
    return refused("ca.crt of its Secret is not base64; expected roots in PEM, or no ca.crt");
  }
  return {
    kind: "secret",
    secret: {
      namespace: textOf(metadata.namespace) ?? installed.namespace,
      name: textOf(metadata.name) ?? installed.caSecret,
      type: textOf(type) ?? "kubernetes.io/tls",
      annotations: isObject(metadata.annotations) ? metadata.annotations : {},
      certificatePem,
      privateKeyPem,
      furtherAnchorsPem: furtherAnchors?.text,
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
  // Quoted: YAML reads a name such as 2026 or true as another type than text.
  return `apiVersion: v1
kind: Secret
metadata:
  name: ${JSON.stringify(name)}
  namespace: ${JSON.stringify(namespace)}
type: ${JSON.stringify(type)}
data:
${Object.entries(entries).map(([key, pem]) => `  ${key}: ${toBase64(pem)}\n`).join("")}`;
}

/** The roots of ca.crt but the CA's own certificates, which would be trusted for as long as it has them. */
function withoutOwn(pem: string, ownPem: string): string {
  const own = new Set((readCertificates(ownPem) ?? []).map(({ der }) => der.toBase64()));
  return (readCertificates(pem) ?? []).filter(({ der }) => !own.has(der.toBase64()))
    .map(({ der }) => encodePem("CERTIFICATE", der)).join("");
}

/** A comment above PEM can have any characters. */
function toBase64(pem: string): string {
  return new TextEncoder().encode(pem).toBase64();
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

function refused(problem: string): Read {
  return { kind: "refused", problem };
}
