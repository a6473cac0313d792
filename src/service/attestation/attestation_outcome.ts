/** The result of one attestation; reasons contain nothing secret. */
export type AttestationOutcome =
  | {
    readonly kind: "issued";
    readonly chain: readonly Uint8Array[];
    readonly notAfter: Temporal.Instant;
  }
  | { readonly kind: "malformed" | "unauthenticated" | "denied"; readonly reason: string }
  | {
    readonly kind: "overloaded" | "unavailable";
    readonly reason: string;
    readonly retryAfter: Temporal.Duration;
  };
