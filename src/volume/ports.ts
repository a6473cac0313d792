/** What the volume domain needs of the world; each port is implemented at an edge. */

/** The pod that a volume belongs to, as the kubelet names it. */
export interface PodIdentity {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly serviceAccount: string;
}

/** Everything needed to renew, repair or remove a volume after a restart. Holds no key. */
export interface VolumeRecord {
  readonly volumeId: string;
  /** The volume's name in the pod's spec. */
  readonly volumeName: string;
  readonly targetPath: string;
  readonly pod: PodIdentity;
  /** The volumeAttributes of the pod's spec, verbatim. */
  readonly attributes: Readonly<Record<string, string>>;
  /** The group that owns the files (the pod's fsGroup), if the kubelet named one. */
  readonly group: number | undefined;
  /** When the certificate was issued: lifetimes count from here, not from the back-dated notBefore. */
  readonly issuedAt: Temporal.Instant;
  /** The leaf's serial number, lower-case hexadecimal. */
  readonly serialNumber: string;
  readonly notAfter: Temporal.Instant;
}

/** A record that could not be read, and why; the store never guesses. */
export interface UnreadableRecord {
  readonly path: string;
  readonly problem: string;
}

/** Keeps the records of this node's volumes over restarts. */
export interface VolumeStore {
  /** Replaces the volume's record and its copy of the certificate chain; the next driver finds it once it resolves. */
  save(record: VolumeRecord, certificatePem: string): Promise<void>;
  /** All records, and those that could not be read. */
  load(): Promise<{ records: VolumeRecord[]; unreadable: UnreadableRecord[] }>;
  /** Forgets a volume; one that is not there is fine. */
  remove(record: Pick<VolumeRecord, "volumeId" | "pod">): Promise<void>;
}

/** What a killed driver may have left on the node. */
export interface Leftovers {
  /** Every target at which a volume of this driver's is mounted. */
  mounted(): string[];
  /** Removes a record that still cannot be read; whether it is gone, or can be read by now. */
  discard(record: UnreadableRecord): boolean;
}

/** The files of one volume, which appear and change together. */
export interface VolumeFiles {
  readonly contents: ReadonlyMap<string, string>;
  /** Permission bits of each file. */
  readonly mode: number;
  readonly group: number | undefined;
}

/** What is at a target path: nothing of ours, our volume, or another's mount. */
export type TargetState = "absent" | "ours" | "foreign";

/** Puts files where a pod sees them, read-only from the pod's side. */
export interface Mounter {
  /** `tmpfs`: a file system of its own for each volume; `plain`: a directory, where mounting is not permitted. */
  readonly kind: "tmpfs" | "plain";
  state(targetPath: string): TargetState;
  /** Makes the files appear at a target, all of them or none. */
  publish(targetPath: string, files: VolumeFiles): Promise<void>;
  /** Swaps the files of a published volume, all of them at one instant. */
  replace(targetPath: string, files: VolumeFiles): Promise<void>;
  /** One file's text, or undefined when it is not there. */
  read(targetPath: string, name: string): Promise<string | undefined>;
  /** Several files' texts, all of the same swap. */
  readAll(targetPath: string, names: readonly string[]): Promise<(string | undefined)[]>;
  /** Removes a volume and its target directory; missing pieces are fine. */
  unpublish(targetPath: string): Promise<void>;
}

/** Asks for one certificate. */
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

/** What came of asking for a certificate; only `issued` brings one. */
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
    readonly kind: "throttled";
    readonly reason: string;
    readonly retryAfter: Temporal.Duration | undefined;
  };

/** The certificate service as the volume domain sees it. */
export interface CertificateIssuer {
  issue(request: IssueRequest, signal: AbortSignal): Promise<IssueOutcome>;
}

/** The kubelet's own notes on the node. */
export interface Kubelet {
  /** Whether the kubelet still holds the volume of a target: its note lies beside the target. */
  holds(targetPath: string): boolean;
}
