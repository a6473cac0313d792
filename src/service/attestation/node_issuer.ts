import type { ClientCaSource } from "../access/client_ca_source.ts";

/** What a node certificate states; the caller has verified it. */
export interface NodeCertificateRequest {
  /** SubjectPublicKeyInfo of the key that the driver holds, DER. */
  readonly spki: Uint8Array;
  readonly node: string;
  readonly podUid: string;
  /** The certificate ends no later than this. */
  readonly notAfter: Temporal.Instant;
}

export type NodeCertificateOutcome =
  | {
    readonly kind: "issued";
    /** DER, leaf first, without the node CA. */
    readonly chain: readonly Uint8Array[];
    readonly serialNumber: string;
    readonly notAfter: Temporal.Instant;
  }
  | { readonly kind: "unavailable"; readonly reason: string };

/**
 * Issues nodes' client certificates, and lists the CAs of such certificates that are accepted now. A CA
 * whose key is not derived, because a KMS holds it, implements this in another way.
 */
export interface NodeIssuer extends ClientCaSource {
  issue(request: NodeCertificateRequest): Promise<NodeCertificateOutcome>;
}
