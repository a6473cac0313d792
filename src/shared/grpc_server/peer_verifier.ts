/** Decides whether a TLS client may speak HTTP/2 with this server. */
export interface PeerVerifier {
  /** Verifies the leaf that a client has shown (DER, already chained by TLS to one of the client CAs). */
  verify(leaf: Uint8Array): Promise<PeerDecision>;
  /** Calls back when earlier decisions may no longer hold; open connections are then verified again. */
  onChange(listener: () => void): Disposable;
}

export type PeerDecision =
  | {
    readonly kind: "accepted";
    /** Whose connections are counted together. */
    readonly owner: string;
    readonly expiresAt: Temporal.Instant;
  }
  | { readonly kind: "rejected"; readonly reason: string };
