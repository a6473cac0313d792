import type { CertificateTerms } from "../certificates/certificate_terms.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import type { VolumeAttributes } from "../../shared/attributes/volume_attributes.ts";

/** A volume as the kubelet requested it, checked field by field. */
export interface Volume {
  readonly volumeId: string;
  /** The volume's name in the pod's spec. */
  readonly volumeName: string;
  readonly targetPath: string;
  readonly pod: PodIdentity;
  /** The volumeAttributes of the pod's spec, verbatim. */
  readonly attributes: Readonly<Record<string, string>>;
  /** What is understood of them; parsed once, from a request or from a stored record. */
  readonly parsed: VolumeAttributes;
  /**
   * Why a new volume with these attributes is rejected. One that is in use, which another version of the driver
   * published, is renewed by what is understood.
   */
  readonly rejectionReason: string | undefined;
  /** The group that owns the files (the pod's fsGroup), if the kubelet named one. */
  readonly group: number | undefined;
}

/** The facts about the certificate that a volume contains. */
export interface CertificateFacts extends CertificateTerms {
  /** The leaf's serial number, lower-case hexadecimal. */
  readonly serialNumber: string;
}

/** Everything needed to renew, repair or remove a volume after a restart. Contains no key. */
export type VolumeRecord = Volume & CertificateFacts;

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
  /** Removes the volume's record; a missing one is fine. */
  remove(record: Pick<VolumeRecord, "volumeId" | "pod">): Promise<void>;
  /** Removes a record that still cannot be read; returns whether it has been removed, or can be read by now. */
  removeUnreadable(record: UnreadableRecord): Promise<boolean>;
}

/** The fields that every log line about a volume has. */
export function volumeLogFields({ volumeId, pod, serialNumber, notAfter }: VolumeRecord) {
  return {
    namespace: pod.namespace,
    pod: pod.name,
    podUid: pod.uid,
    volumeId,
    serialNumber,
    notAfter: notAfter.toString(),
  };
}
