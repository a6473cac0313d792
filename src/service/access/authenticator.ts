/**
 * This folder identifies callers (authentication), decides what they may do (authorization), and
 * writes the audit log. Its main types are `Caller`, `PodAuthorization` and the ports
 * `Authenticator`, `PodDirectory` and `NodeDenials`. It never logs a token, and the
 * reason for a denial never reveals more of a pod than the check that failed.
 */

import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

/** The caller, as far as it is verified. */
export type Caller =
  | {
    readonly kind: "node";
    readonly node: string;
    /** The uid of the driver's pod for which the node's certificate was made. */
    readonly podUid?: string | undefined;
    /** At the attestation: whose token it was, as "namespace/name", and its id, which is no secret. */
    readonly serviceAccount?: string | undefined;
    readonly tokenId?: string | undefined;
  }
  /** Another replica of this service. */
  | { readonly kind: "replica"; readonly replica: string }
  /** Calls over the local socket, which only the service's own user can open. */
  | { readonly kind: "administrator" }
  /** Only with AUTHENTICATION=none, where no caller is authenticated. */
  | { readonly kind: "anonymous" };

/** A caller of the gRPC port. */
export type NetworkCaller = Exclude<Caller, { kind: "administrator" }>;

/** A caller that may hold certificates of pods. */
export type DriverCaller = Exclude<NetworkCaller, { kind: "replica" }>;

/** What a caller presents to be identified. */
export interface Credentials {
  /** The TLS client certificate, DER, verified against the trusted client CAs. */
  readonly peerCertificate: Uint8Array | undefined;
}

export type AuthenticationResult =
  | { readonly kind: "caller"; readonly caller: NetworkCaller }
  | { readonly kind: "unauthenticated"; readonly reason: string };

/** Identifies callers. A reason that it returns never contains the credentials. */
export interface Authenticator {
  authenticate(credentials: Credentials): Promise<AuthenticationResult>;
}

/** Accepts every caller; for a demonstration or an isolated network. */
export const allowAnonymous: Authenticator = {
  authenticate: () => Promise.resolve({ kind: "caller", caller: { kind: "anonymous" } }),
};

/**
 * The key of a request in a fair queue: all requests of one node have one key, so that no node delays
 * the others. Where callers are anonymous, each pod has a key.
 */
export function queueKey(caller: Caller, pod: PodIdentity): string {
  return caller.kind === "node" ? `node ${caller.node}` : `pod ${pod.uid}`;
}
