import { isObjectName } from "../../shared/text/kubernetes_names.ts";
import { nodeUriPrefix } from "../../shared/text/product_names.ts";
import { type Certificate, readCertificateFields } from "../../shared/x509/certificate.ts";
import { attributeValues, readName } from "../../shared/x509/distinguished_name.ts";
import { extensionTypes, keyPurposes, readKeyPurposes } from "../../shared/x509/extensions.ts";
import { podUidAttribute } from "../x509/node_certificate.ts";

/** What a node's client certificate states. */
export interface NodeIdentity {
  readonly node: string;
  /** The uid of the driver's pod; undefined where certificates do not state it. */
  readonly podUid: string | undefined;
}

export type NodeIdentityResult =
  | { readonly kind: "node"; readonly identity: NodeIdentity }
  | { readonly kind: "rejected"; readonly reason: string };

/** The URI that identifies the node in its certificate; undefined for what is not a node's name. */
export function nodeUri(trustDomain: string, node: string): string | undefined {
  return isObjectName(node) ? `${nodeUriPrefix(trustDomain)}${node}` : undefined;
}

/**
 * Reads a node's certificate: EKU clientAuth present, exactly one URI, of the form that `nodeUri`
 * makes, and no CA. Does not look at signatures and dates.
 */
export function readNodeIdentity(
  certificate: Certificate,
  { trustDomain, statesPodUid }: { trustDomain: string; statesPodUid: boolean },
): NodeIdentityResult {
  if (certificate.isCa) return rejected("it is a CA's");
  const usages = certificate.extensions.get(extensionTypes.extendedKeyUsage);
  const purposes = usages && readKeyPurposes(usages.value);
  if (!purposes?.includes(keyPurposes.clientAuth)) {
    return rejected("its extendedKeyUsage does not contain clientAuth");
  }
  const prefix = nodeUriPrefix(trustDomain);
  const [uri = "", ...others] = certificate.uris;
  const node = uri.startsWith(prefix) ? uri.slice(prefix.length) : "";
  if (others.length > 0 || !isObjectName(node)) {
    return rejected(`it names no node: expected ${prefix}NAME as its one URI`);
  }
  if (!statesPodUid) return { kind: "node", identity: { node, podUid: undefined } };
  const podUid = readPodUid(certificate);
  if (podUid === undefined) return rejected("its subject does not state the uid of a pod");
  return { kind: "node", identity: { node, podUid } };
}

function readPodUid(certificate: Certificate): string | undefined {
  const fields = readCertificateFields(certificate.der);
  const subject = fields && readName(fields.subject);
  const [uid, ...others] = subject ? attributeValues(subject, podUidAttribute) : [];
  return others.length === 0 && uid !== "" ? uid : undefined;
}

function rejected(problem: string): NodeIdentityResult {
  return { kind: "rejected", reason: `the client certificate is not a node's: ${problem}` };
}
