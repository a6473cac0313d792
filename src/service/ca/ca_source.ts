/** What a CA's source holds, as it came. */
export interface CaSourceContent {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Roots that are to be trusted in addition to the CA's own (the Secret's ca.crt). */
  readonly furtherAnchorsPem: string | undefined;
  /**
   * The old CA's key is compromised: from now on it does not sign and is not trusted
   * (the annotation csi-cert-driver/old-key-compromised: "true").
   */
  readonly compromised: boolean;
  /**
   * Whose node CA is derived from the key: the Secret's uid, or CLUSTER_ID. The same key in another
   * cluster gives another node CA. Undefined: no node CA is derived.
   */
  readonly clusterId?: string | undefined;
  /** For the log (a Secret's resourceVersion). */
  readonly version: string;
}

/** What a CA's source reports. */
export type CaSourceState =
  | { readonly kind: "secret"; readonly secret: CaSourceContent }
  /** There is no CA: not yet, or not any more. */
  | { readonly kind: "absent" }
  /** Reported once for each outage. */
  | { readonly kind: "unavailable"; readonly problem: string };

/** Where the CA comes from. */
export interface CaSource {
  /** The CA now and after each change, until aborted; does not end by itself and survives disconnects. */
  watch(signal: AbortSignal): AsyncIterable<CaSourceState>;
}
