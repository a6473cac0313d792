import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

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
export interface AbandonedVolumes {
  /** Every target at which a volume of this driver's is mounted. */
  mounted(): string[];
  /** Removes a record that still cannot be read; whether it is gone, or can be read by now. */
  removeUnreadable(record: UnreadableRecord): boolean;
}
