import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

/** A request for one certificate. */
export interface IssueRequest {
  /** PKCS#10, DER. */
  readonly certificateRequest: Uint8Array;
  readonly pod: PodIdentity;
  readonly volumeId: string;
  readonly volumeName: string;
  readonly attributes: Readonly<Record<string, string>>;
  /** The serial number of the certificate that is renewed. */
  readonly predecessor: string | undefined;
}

/** The outcome of such a request; only `issued` contains a certificate. */
export type IssueOutcome =
  | {
    readonly kind: "issued";
    /** DER, leaf first. */
    readonly chain: Uint8Array[];
    /** DER. */
    readonly trustBundle: Uint8Array[];
  }
  | { readonly kind: "denied"; readonly reason: string }
  | { readonly kind: "invalid"; readonly reason: string }
  | { readonly kind: "unavailable"; readonly reason: string }
  | {
    readonly kind: "overloaded";
    readonly reason: string;
    readonly retryAfter: Temporal.Duration | undefined;
  };

/** The certificate service as the volume domain sees it. */
export interface IssuanceClient {
  issue(request: IssueRequest, signal: AbortSignal): Promise<IssueOutcome>;
}
