import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

/** The service accepts 100 certificates, 256 KiB and 1,024 fields in one message. */
const maxCertificates = 100;
const maxBytes = 224 * 1024;
const maxFields = 1_000;
/** A certificate's entry with the pod's four. */
const certificateFields = 8;
/** Space for the rest of a certificate's entry: the pod's names and the volume id. */
const entryBytes = 2 * 1024;

/** A volume of this node, and the certificate that it holds. */
export interface NodeVolume {
  readonly volumeId: string;
  readonly serialNumber: string;
}

/** A certificate that a volume contains. */
export interface MountedCertificate extends NodeVolume {
  /** The leaf, DER. */
  readonly certificate: Uint8Array;
  readonly pod: PodIdentity;
}

/** What one message of a report contains. */
export interface ReportPart {
  readonly certificates: MountedCertificate[];
  readonly volumeIds: string[];
}

/**
 * Splits a report by number and by size: a certificate with many names has several KiB. A node
 * without volumes reports that it has none, so that there is always a part.
 */
export function reportParts(
  volumes: readonly NodeVolume[],
  mounted: readonly MountedCertificate[],
): ReportPart[] {
  const parts: ReportPart[] = [{ certificates: [], volumeIds: [] }];
  let [bytes, fields] = [0, 0];
  const partFor = (addedBytes: number, addedFields: number): ReportPart => {
    const last = parts.at(-1)!;
    [bytes, fields] = [bytes + addedBytes, fields + addedFields];
    const fits = bytes <= maxBytes && fields <= maxFields;
    if (fits && last.certificates.length < maxCertificates) return last;
    [bytes, fields] = [addedBytes, addedFields];
    const part = { certificates: [], volumeIds: [] };
    parts.push(part);
    return part;
  };
  for (const { volumeId } of volumes) {
    // Its tag and its length take three bytes.
    partFor(volumeId.length + 3, 1).volumeIds.push(volumeId);
  }
  for (const one of mounted) {
    partFor(one.certificate.length + entryBytes, certificateFields).certificates.push(one);
  }
  return parts;
}
