import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

const logger = getLogger(["csi-driver", "report"]);
/** The service accepts 100 certificates and 256 KiB in one message. */
const maxBatchSize = 100;
const maxBatchBytes = 224 * 1024;
/** More than an overloaded service needs; without it a service that hangs would block the watch of the trust bundle. */
const timeoutMs = 60_000;
/** Space for the rest of an entry: the pod's names and the volume id. */
const entryBytes = 2 * 1024;

/** A certificate that a volume contains. */
export interface MountedCertificate {
  /** The leaf, DER. */
  readonly certificate: Uint8Array;
  readonly pod: PodIdentity;
  readonly volumeId: string;
}

/** Reports to the service what this node's volumes contain, so that a restarted one has its inventory again. */
export async function reportCertificates(
  client: Client<typeof CertificateService>,
  mounted: readonly MountedCertificate[],
  signal: AbortSignal,
): Promise<void> {
  for (const batch of batches(mounted)) {
    const certificates = batch
      .map(({ certificate, pod, volumeId }) => ({ certificate, pod: { ...pod }, volumeId }));
    const { accepted, refused } = await client.reportCertificates({ certificates }, {
      signal,
      timeoutMs,
    });
    logger.info("reported {accepted} certificates to the service, {refused} refused", {
      accepted,
      refused,
    });
  }
}

/** Splits by number and by size: a certificate with many names has several KiB. */
function* batches(mounted: readonly MountedCertificate[]): Generator<MountedCertificate[]> {
  let batch: MountedCertificate[] = [];
  let bytes = 0;
  for (const one of mounted) {
    const size = one.certificate.length + entryBytes;
    if (batch.length === maxBatchSize || (batch.length > 0 && bytes + size > maxBatchBytes)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(one);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
