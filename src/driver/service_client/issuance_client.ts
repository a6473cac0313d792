/**
 * This folder is the driver's end of the certificate service's protocol: it proves on which node the
 * driver runs, requests and renews certificates, reports the mounted ones, and watches the trust
 * bundle. Its main types are `GrpcIssuanceClient`, `NodeReporter`, `ServiceConnection`, `NodeIdentity` and
 * `TrustBundleHandler`. It never decides when a pod's certificate is renewed, and never shows the
 * token to a server that it has not verified.
 */

import { status } from "@grpc/grpc-js";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import type { Client } from "../../shared/grpc_client/client.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import type {
  IssuanceClient,
  IssueOutcome,
  IssueRequest,
} from "../certificates/issuance_client.ts";

/** The certificate service over gRPC, as the volume domain sees it. */
export class GrpcIssuanceClient implements IssuanceClient {
  readonly #client: Client<typeof CertificateService>;

  constructor(client: Client<typeof CertificateService>) {
    this.#client = client;
  }

  /** Issues, or renews when the request names a predecessor; rejects when the signal is aborted. */
  async issue(request: IssueRequest, signal: AbortSignal): Promise<IssueOutcome> {
    const { certificateRequest, pod, volumeId, volumeName, attributes, predecessor } = request;
    const volume = { id: volumeId, name: volumeName, attributes: { ...attributes } };
    const message = { certificateRequest, pod: { ...pod }, volume };
    try {
      const answer = predecessor === undefined
        ? await this.#client.issueCertificate(message, { signal })
        : await this.#client.renewCertificate(
          { ...message, predecessorSerialNumber: predecessor },
          { signal },
        );
      const trustBundle = answer.trustBundle?.certificates ?? [];
      return { kind: "issued", chain: answer.certificateChain, trustBundle };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof RpcError) return outcomeOfError(error);
      throw error;
    }
  }
}

/** Only a final refusal is `denied` or `invalid`: every other error is worth another attempt. */
function outcomeOfError(error: RpcError): IssueOutcome {
  const reason = error.message;
  switch (error.code) {
    case status.PERMISSION_DENIED:
      return { kind: "denied", reason };
    case status.INVALID_ARGUMENT:
      return { kind: "invalid", reason };
    case status.RESOURCE_EXHAUSTED: {
      const retryAfter = error.retryAfterMs === undefined
        ? undefined
        : Temporal.Duration.from({ milliseconds: Math.round(error.retryAfterMs) });
      return { kind: "overloaded", reason, retryAfter };
    }
    case status.UNAUTHENTICATED:
      // The driver's own certificate is the cause, not the pod: another attestation or the operator fixes it.
      return {
        kind: "unavailable",
        reason: `the certificate service does not accept this driver: ${reason}`,
      };
    default:
      return {
        kind: "unavailable",
        reason: `the certificate service cannot be used now: ${reason}`,
      };
  }
}
