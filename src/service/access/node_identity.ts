import { isObjectName } from "../../shared/text/kubernetes_names.ts";
import { nodeUriPrefix, replicaUri } from "../../shared/text/product_names.ts";
import { type Certificate, readCertificateFields } from "../../shared/x509/certificate.ts";
import { attributeValues, readName } from "../../shared/x509/distinguished_name.ts";
import { extensionTypes, keyPurposes, readKeyPurposes } from "../../shared/x509/extensions.ts";
import { holderAttribute } from "../x509/node_certificate.ts";

/** What a node's client certificate states. */
export interface NodeIdentity {
  readonly node: string;
  /** The uid of the driver's pod; undefined where certificates do not state it. */
  readonly podUid: string | undefined;
}

/** What the client certificate of another replica of the service states. */
export interface ReplicaIdentity {
  /** Distinguishes the replicas. */
  readonly replica: string;
}

/** Who a client certificate of the node CA identifies. */
export type ClientIdentity =
  | NodeIdentity & { readonly kind: "node" }
  | ReplicaIdentity & { readonly kind: "replica" };

export type ClientIdentityResult = ClientIdentity | {
  readonly kind: "rejected";
  readonly reason: string;
};

/** The URI that identifies the node in its certificate; undefined for what is not a node's name. */
export function nodeUri(trustDomain: string, node: string): string | undefined {
  return isObjectName(node) ? `${nodeUriPrefix(trustDomain)}${node}` : undefined;
}

/**
 * Reads a client certificate: EKU clientAuth present, exactly one URI, of the form that `nodeUri`
 * makes, and no CA. Where certificates state a pod's uid, a node CA of this service has made them, and
 * the URI can be the replicas'. Does not look at signatures and dates.
 */
export function readClientIdentity(
  certificate: Certificate,
  { trustDomain, statesPodUid }: { trustDomain: string; statesPodUid: boolean },
): ClientIdentityResult {
  if (certificate.isCa) return rejected("it is a CA's");
  const usages = certificate.extensions.get(extensionTypes.extendedKeyUsage);
  const purposes = usages && readKeyPurposes(usages.value);
  if (!purposes?.includes(keyPurposes.clientAuth)) {
    return rejected("its extendedKeyUsage does not contain clientAuth");
  }
  const [uri = "", ...others] = certificate.uris;
  const holder = statesPodUid ? readHolder(certificate) : undefined;
  if (statesPodUid && others.length === 0 && uri === replicaUri(trustDomain)) {
    return holder === undefined
      ? rejected("its subject does not state which replica it is")
      : { kind: "replica", replica: holder };
  }
  const prefix = nodeUriPrefix(trustDomain);
  const node = uri.startsWith(prefix) ? uri.slice(prefix.length) : "";
  if (others.length > 0 || !isObjectName(node)) {
    return rejected(`it names no node: expected ${prefix}NAME as its one URI`);
  }
  if (statesPodUid && holder === undefined) {
    return rejected("its subject does not state the uid of a pod");
  }
  return { kind: "node", node, podUid: holder };
}

function readHolder(certificate: Certificate): string | undefined {
  const fields = readCertificateFields(certificate.der);
  const subject = fields && readName(fields.subject);
  const [holder, ...others] = subject ? attributeValues(subject, holderAttribute) : [];
  return others.length === 0 && holder !== "" ? holder : undefined;
}

function rejected(problem: string): ClientIdentityResult {
  return { kind: "rejected", reason: `the client certificate is not a node's: ${problem}` };
}
