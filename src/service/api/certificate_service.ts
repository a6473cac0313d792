import { writeAuditEntry } from "../access/audit_log.ts";
import type { Authenticator, DriverCaller } from "../access/authenticator.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import type { CertificateReports } from "../inventory/certificate_reports.ts";
import type { CertificateIssuer, IssueRequest } from "../issuing/certificate_issuer.ts";
import type { CertificateService } from "../../shared/gen/certificate_service_pb.ts";
import { changes } from "../../shared/scheduler/listeners.ts";
import type { CallContext, ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { auditInvalidRequest } from "./audited_validation.ts";
import { requestFailureError } from "./error_status.ts";
import { validateIssueRequest, validateReportRequest } from "./request_validation.ts";

/** The parts that answer drivers' calls. */
export interface CertificateServiceParts {
  readonly authenticator: Authenticator;
  readonly currentCa: CurrentCa;
  readonly issuing: CertificateIssuer;
  readonly reporting: CertificateReports;
}

type Implementation = ServiceImplementation<typeof CertificateService>;
type Method<Name extends keyof Implementation> = (
  parts: CertificateServiceParts,
  ...call: Parameters<Implementation[Name]>
) => ReturnType<Implementation[Name]>;

/** What the gRPC port serves to drivers. */
export function certificateService(parts: CertificateServiceParts): Implementation {
  return {
    issueCertificate: (...call) => issueCertificate(parts, ...call),
    renewCertificate: (...call) => renewCertificate(parts, ...call),
    reportCertificates: (...call) => reportCertificates(parts, ...call),
    watchTrustBundle: (...call) => watchTrustBundle(parts, ...call),
  };
}

const issueCertificate: Method<"issueCertificate"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  const request = auditInvalidRequest("issue", caller, () => validateIssueRequest(message));
  return await issue(parts, caller, request, context.signal);
};

const renewCertificate: Method<"renewCertificate"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  const request = auditInvalidRequest("renew", caller, () => validateIssueRequest(message));
  return await issue(parts, caller, request, context.signal);
};

const reportCertificates: Method<"reportCertificates"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  const reported = auditInvalidRequest("report", caller, () => validateReportRequest(message));
  const outcome = await parts.reporting.report(caller, reported, context.signal);
  if (outcome.kind !== "reported") {
    const { kind, reason } = outcome;
    writeAuditEntry({ action: "report", outcome: kind, caller, reason });
    throw requestFailureError(outcome);
  }
  const { accepted, refused } = outcome;
  writeAuditEntry({ action: "report", outcome: outcome.kind, caller, accepted, refused });
  return { accepted, refused };
};

const watchTrustBundle: Method<"watchTrustBundle"> = async function* (parts, _message, context) {
  await authenticate(parts, context);
  yield* trustBundles(parts.currentCa, context.signal);
};

async function issue(
  { issuing }: CertificateServiceParts,
  caller: DriverCaller,
  request: IssueRequest,
  signal: AbortSignal,
) {
  const outcome = await issuing.issue(caller, request, signal);
  const { pod, volumeId, predecessor } = request;
  const action = predecessor === undefined ? "issue" : "renew";
  const entry = { action, outcome: outcome.kind, caller, pod, volumeId, predecessor } as const;
  if (outcome.kind !== "issued") {
    writeAuditEntry({ ...entry, reason: outcome.reason });
    throw requestFailureError(outcome);
  }
  const { serialNumber, names, notAfter } = outcome;
  writeAuditEntry({ ...entry, serialNumber, names, notAfter });
  return {
    certificateChain: outcome.chain,
    trustBundle: { certificates: outcome.trustBundle },
  };
}

/** Identifies the caller; throws UNAUTHENTICATED. */
async function authenticate(
  { authenticator }: CertificateServiceParts,
  { peerCertificate }: CallContext,
): Promise<DriverCaller> {
  const answer = await authenticator.authenticate({ peerCertificate });
  if (answer.kind === "caller") return answer.caller;
  const { kind: outcome, reason } = answer;
  writeAuditEntry({ action: "authenticate", outcome, caller: undefined, reason });
  throw requestFailureError(answer);
}

/** The bundle now and after each change; of changes that come faster than they are read, the last. */
async function* trustBundles(currentCa: CurrentCa, signal: AbortSignal) {
  for await (const _ of changes((listener) => currentCa.onChange(listener), signal)) {
    const { anchors } = currentCa;
    if (anchors.length > 0) yield { certificates: anchors.map(({ der }) => der) };
  }
  throw signal.reason;
}
