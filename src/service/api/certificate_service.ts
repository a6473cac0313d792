import { writeAuditEntry } from "../access/audit_log.ts";
import type { Authenticator } from "../access/authenticator.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import type { CertificateReports } from "../inventory/certificate_reports.ts";
import type { NodeReports } from "../inventory/node_reports.ts";
import type { CertificateIssuer } from "../issuing/certificate_issuer.ts";
import type {
  CertificateService,
  IssueCertificateRequest,
  RenewCertificateRequest,
  ReportCertificatesRequest,
} from "../../shared/gen/certificate_service_pb.ts";
import { changes } from "../../shared/scheduler/listeners.ts";
import type { CallContext, ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { auditInvalidRequest } from "./audited_validation.ts";
import { authenticateDriver } from "./authenticated_caller.ts";
import { requestFailureError } from "./error_status.ts";
import { validateIssueRequest, validateReportRequest } from "./request_validation.ts";

/** The parts that the calls of drivers use. */
export interface CertificateServiceParts {
  readonly authenticator: Authenticator;
  readonly currentCa: CurrentCa;
  readonly issuing: CertificateIssuer;
  readonly reporting: CertificateReports;
  readonly nodes: NodeReports;
}

type Implementation = ServiceImplementation<typeof CertificateService>;

/** The service for drivers, on the gRPC port. */
export function certificateService(parts: CertificateServiceParts): Implementation {
  return {
    issueCertificate: (message, context) => issue(parts, "issue", message, context),
    renewCertificate: (message, context) => issue(parts, "renew", message, context),
    reportCertificates: (message, context) => report(parts, message, context),
    watchTrustBundle: (_message, context) => watchTrustBundle(parts, context),
  };
}

async function issue(
  parts: CertificateServiceParts,
  action: "issue" | "renew",
  message: IssueCertificateRequest | RenewCertificateRequest,
  context: CallContext,
) {
  const caller = await authenticateDriver(parts.authenticator, context);
  const request = auditInvalidRequest(action, caller, () => validateIssueRequest(message));
  const outcome = await parts.issuing.issue(caller, request, context.signal);
  const { pod, volumeId, predecessor } = request;
  const entry = { action, outcome: outcome.kind, caller, pod, volumeId, predecessor };
  if (outcome.kind !== "issued") {
    writeAuditEntry({ ...entry, reason: outcome.reason });
    throw requestFailureError(outcome);
  }
  const { serialNumber, predecessorVerified, names, notAfter } = outcome;
  writeAuditEntry({ ...entry, serialNumber, predecessorVerified, names, notAfter });
  return {
    certificateChain: outcome.chain,
    trustBundle: { certificates: outcome.trustBundle },
  };
}

async function report(
  parts: CertificateServiceParts,
  message: ReportCertificatesRequest,
  context: CallContext,
) {
  const caller = await authenticateDriver(parts.authenticator, context);
  const request = auditInvalidRequest("report", caller, () => validateReportRequest(message));
  const { certificates, part } = request;
  const outcome = await parts.reporting.report(caller, certificates, context.signal);
  if (outcome.kind !== "reported") {
    const { kind, reason } = outcome;
    writeAuditEntry({ action: "report", outcome: kind, caller, reason });
    throw requestFailureError(outcome);
  }
  // An anonymous caller is on no node that is known.
  if (caller.kind === "node") await parts.nodes.receive(caller.node, part);
  const { accepted, refused, oversized } = outcome;
  // A driver reports its volumes every 5 minutes; most of these reports contain no certificate.
  if (certificates.length > 0) {
    writeAuditEntry({ action: "report", outcome: outcome.kind, caller, accepted, refused });
  }
  return { accepted, refused, oversized };
}

/** Sends the bundle now and after each change; of changes faster than the driver reads, the last. */
async function* watchTrustBundle(parts: CertificateServiceParts, context: CallContext) {
  await authenticateDriver(parts.authenticator, context);
  const { currentCa } = parts;
  for await (const _ of changes((listener) => currentCa.onChange(listener), context.signal)) {
    const { anchors } = currentCa;
    if (anchors.length > 0) yield { certificates: anchors.map(({ der }) => der) };
  }
  throw context.signal.reason;
}
