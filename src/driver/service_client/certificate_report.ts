import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

const logger = getLogger(["csi-driver", "report"]);
/** Some 200 KiB at the most, well below what the service takes in one message. */
const maxBatchSize = 100;

/** A certificate that a volume holds. */
export interface MountedCertificate {
  /** The leaf, DER. */
  readonly certificate: Uint8Array;
  readonly pod: PodIdentity;
  readonly volumeId: string;
}

/** Tells the service what this node's volumes hold, so that a restarted one has its inventory again. */
export async function reportCertificates(
  client: Client<typeof CertificateService>,
  held: readonly MountedCertificate[],
  signal: AbortSignal,
): Promise<void> {
  for (let start = 0; start < held.length; start += maxBatchSize) {
    const certificates = held.slice(start, start + maxBatchSize)
      .map(({ certificate, pod, volumeId }) => ({ certificate, pod: { ...pod }, volumeId }));
    const { accepted, refused } = await client.reportCertificates({ certificates }, { signal });
    logger.info("reported {accepted} certificates to the service, {refused} refused", {
      accepted,
      refused,
    });
  }
}
