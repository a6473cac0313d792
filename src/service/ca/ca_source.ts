import type { SourceVersion } from "./rotation_record.ts";

/** A CA's certificate, which others may follow, and its key. */
export interface CaPair {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** The CA as its source holds it, not verified. */
export interface CaSourceContent extends CaPair {
  /** Roots to be trusted in addition to the CA's own (the Secret's ca.crt). */
  readonly furtherAnchorsPem: string | undefined;
  /** The CA before this one, so that a replica that starts during a rotation can sign with it. */
  readonly former?: CaPair | undefined;
  /**
   * The previous CA's key is compromised: from now on it does not sign and is not trusted
   * (the annotation csi-cert-driver/old-key-compromised: "true").
   */
  readonly compromised: boolean;
  /**
   * The Secret's uid, or CLUSTER_ID: the node CA is derived from it and the key, so that the same key
   * in another cluster gives another node CA. Undefined: no node CA is derived.
   */
  readonly clusterId?: string | undefined;
  /** The Secret's version; undefined for files, which have none. */
  readonly source?: SourceVersion | undefined;
}

/** What a source reports of its CA. */
export type CaSourceState =
  | { readonly kind: "present"; readonly content: CaSourceContent }
  /** The CA does not exist: not yet, or no longer. */
  | { readonly kind: "absent" }
  /** Reported once for each outage. */
  | { readonly kind: "unavailable"; readonly problem: string };

/** Where the CA comes from. */
export interface CaSource {
  /** The object, or the variables and files, for messages. */
  readonly name: string;
  /** Yields the CA now and after each change, until aborted; reconnects by itself. */
  watch(signal: AbortSignal): AsyncIterable<CaSourceState>;
}
