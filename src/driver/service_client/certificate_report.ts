import { getLogger } from "@logtape/logtape";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import { fullJitterDelay } from "../../shared/scheduler/backoff.ts";
import { errorMessage } from "../../shared/text/error_message.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";

const logger = getLogger(["csi-driver", "report"]);
/** The service accepts 100 certificates and 256 KiB in one message. */
const maxBatchSize = 100;
const maxBatchBytes = 224 * 1024;
/** More than an overloaded service needs. */
const timeoutMs = 60_000;
/** Space for the rest of an entry: the pod's names and the volume id. */
const entryBytes = 2 * 1024;

/** Between two attempts to report everything: a service refuses a report for the reason of a moment, or of hours. */
const backoff = { baseMs: 10_000, maxMs: 600_000 };

/** A certificate that a volume contains. */
export interface MountedCertificate {
  /** The leaf, DER. */
  readonly certificate: Uint8Array;
  readonly pod: PodIdentity;
  readonly volumeId: string;
}

/** Where a report's certificates come from, and how it waits before it is repeated. */
export interface ReportOptions {
  readonly readMounted: () => Promise<readonly MountedCertificate[]>;
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
  readonly random: () => number;
}

/** Reports what this node's volumes contain until the service has all of it, or the signal is aborted; never rejects. */
export async function reportUntilReceived(
  client: Client<typeof CertificateService>,
  { readMounted, wait, random }: ReportOptions,
  signal: AbortSignal,
): Promise<void> {
  for (let failures = 1; !signal.aborted; failures++) {
    try {
      return await reportCertificates(client, await readMounted(), signal);
    } catch (error) {
      if (signal.aborted) return;
      // Logged once for each connection.
      if (failures === 1) {
        logger.warn(
          "the certificates of this node cannot be reported, to be tried again: {reason}",
          {
            reason: errorMessage(error),
          },
        );
      }
      await wait(fullJitterDelay(failures, backoff, random), signal);
    }
  }
}

/**
 * Reports to the service what this node's volumes contain, so that a restarted one has its inventory again. A part that
 * fails does not keep the others from the service; then the first error is thrown at the end.
 */
export async function reportCertificates(
  client: Client<typeof CertificateService>,
  mounted: readonly MountedCertificate[],
  signal: AbortSignal,
): Promise<void> {
  const errors: unknown[] = [];
  for (const batch of batches(mounted)) {
    try {
      await reportBatch(client, batch, signal);
    } catch (error) {
      signal.throwIfAborted();
      errors.push(error);
    }
  }
  if (errors.length > 0) throw errors[0];
}

async function reportBatch(
  client: Client<typeof CertificateService>,
  batch: readonly MountedCertificate[],
  signal: AbortSignal,
): Promise<void> {
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
