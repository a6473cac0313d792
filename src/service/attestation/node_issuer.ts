/** The content of a node certificate; the caller has verified it. */
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
 * Issues nodes' client certificates. A node CA whose key is not derived, because a KMS holds the CA's
 * key, implements this in another way.
 */
export type IssueNodeCertificate = (
  request: NodeCertificateRequest,
) => Promise<NodeCertificateOutcome>;
