/** What the authority needs of the world; each port is implemented at an edge. */
import type { PodFields } from "../x509/templates.ts";

/** Who calls, as far as it was proven. */
export type Caller =
  | {
    readonly kind: "node";
    readonly node: string;
    /** Whose token it was, as "namespace/name", and its pod's uid; for the audit only. */
    readonly serviceAccount?: string | undefined;
    readonly podUid?: string | undefined;
    /** The token's own id (credential-id, JTI=...), which is no secret. */
    readonly tokenId?: string | undefined;
  }
  | { readonly kind: "operator"; readonly name: string }
  /** Only where the service was told to ask nobody (AUTHENTICATION=none). */
  | { readonly kind: "anonymous" };

/** What a caller shows to prove who it is. */
export interface Credentials {
  /** The authorization header, as it came. */
  readonly authorization: string | undefined;
  /** The TLS client certificate, DER, verified against the trusted client CAs. */
  readonly peerCertificate: Uint8Array | undefined;
}

export type Authentication =
  | { readonly kind: "caller"; readonly caller: Caller }
  | { readonly kind: "unauthenticated"; readonly problem: string }
  /** It is known who calls, and it is nobody who may speak for a node. */
  | { readonly kind: "denied"; readonly problem: string }
  | { readonly kind: "unavailable"; readonly problem: string };

/** Tells who calls. A problem that it answers never holds what was shown. */
export interface Authenticator {
  authenticate(credentials: Credentials, signal: AbortSignal): Promise<Authentication>;
}

/** Believes everybody; fit for a demonstration and for a network of one's own. */
export const believeAnybody: Authenticator = {
  authenticate: () => Promise.resolve({ kind: "caller", caller: { kind: "anonymous" } }),
};

/** How a caller names a pod. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
}

/** A pod as the cluster knows it. */
export interface ObservedPod extends PodFields {
  /** The node that runs it; undefined before it is scheduled. */
  readonly nodeName?: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Succeeded or failed: its containers will not run again. */
  readonly finished: boolean;
  /** Its deletion was asked for; its containers may still run. */
  readonly deleting: boolean;
  /** A mirror pod, or one that a Node owns: the node itself can make it. */
  readonly madeByNode: boolean;
  /** The volumeAttributes of its inline volumes of this driver, by the volume's name. */
  readonly volumes: ReadonlyMap<string, Readonly<Record<string, string>>>;
}

/** Looks a pod up in the cluster. Without one, what a caller says of a pod is believed. */
export interface PodDirectory {
  /** `absent`: no pod of this namespace, name and uid. */
  find(
    pod: Pick<PodIdentity, "namespace" | "name" | "uid">,
    signal: AbortSignal,
  ): Promise<
    | { readonly kind: "found"; readonly pod: ObservedPod }
    | { readonly kind: "absent" }
    | { readonly kind: "unavailable"; readonly problem: string }
  >;
}

/** What an operator can ask for. */
export type OperatorAction = "list" | "get" | "revoke";

/** Tells what an operator may do; without one, no operator may do anything. */
export interface OperatorAccess {
  review(
    operator: string,
    action: OperatorAction,
    signal: AbortSignal,
  ): Promise<
    | { readonly kind: "allowed" }
    | { readonly kind: "denied"; readonly reason: string }
    | { readonly kind: "unavailable"; readonly reason: string }
  >;
}

/** What a CA's source holds, as it came. */
export interface CaSecret {
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Roots that are to be trusted besides the CA's own (the Secret's ca.crt). */
  readonly furtherAnchorsPem: string | undefined;
  /**
   * The old CA's key is in strange hands: it signs no more and is trusted no more, at once
   * (the annotation csi-cert-driver/old-key-compromised: "true").
   */
  readonly compromised: boolean;
  /** For the log (a Secret's resourceVersion). */
  readonly version: string;
}

/** What is told of a CA's source. */
export type CaState =
  | { readonly kind: "secret"; readonly secret: CaSecret }
  /** It is not there: not yet, or not any more. */
  | { readonly kind: "absent" }
  /** Told once for each outage. */
  | { readonly kind: "unavailable"; readonly problem: string };

/** Where the CA comes from. */
export interface CaSource {
  /** The CA now and after each change, until aborted; does not end by itself and survives disconnects. */
  watch(signal: AbortSignal): AsyncIterable<CaState>;
}

/** A text that replicas share. */
export interface SharedText {
  readonly data: Readonly<Record<string, string>>;
  readonly version: string;
}

/** A small document that replicas share, with optimistic concurrency (the data of a ConfigMap). */
export interface SharedDocument {
  /** Undefined: it is not there. Rejects when it cannot be asked for. */
  read(signal: AbortSignal): Promise<SharedText | undefined>;
  /**
   * Writes if `version` is still what was read (undefined: it must not be there yet); false when
   * somebody else was faster. Rejects when it cannot be written.
   */
  write(
    data: Readonly<Record<string, string>>,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<boolean>;
  /** Yields when something may have changed, until aborted; survives disconnects. */
  watch(signal: AbortSignal): AsyncIterable<void>;
}
