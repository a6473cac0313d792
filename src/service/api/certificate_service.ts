import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { authorizeOperator } from "../access/operator_access.ts";
import type { CurrentCa } from "../ca/current_ca.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { InventoryEntry } from "../inventory/inventory_entry.ts";
import type { CertificateIssuer, IssueRequest } from "../issuing/certificate_issuer.ts";
import type { Authenticator, Caller } from "../access/authenticator.ts";
import type { OperatorAccess, OperatorAction } from "../access/operator_access.ts";
import type { CertificateReports } from "../inventory/certificate_reports.ts";
import type { Revocation } from "../revocation/revocation.ts";
import type {
  CertificateInfoSchema,
  CertificateService,
} from "../../shared/gen/certificate_service_pb.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";
import type { CallContext, ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { type AuditEntry, writeAuditEntry } from "../access/audit_log.ts";
import { requestFailureError } from "./error_status.ts";
import {
  validateIssueRequest,
  validateListRequest,
  validateReportRequest,
  validateRevokeRequest,
  validateSerialNumber,
} from "./request_validation.ts";

/** What answers the calls. */
export interface CertificateServiceParts {
  readonly authenticator: Authenticator;
  readonly authority: CurrentCa;
  readonly issuing: CertificateIssuer;
  readonly reporting: CertificateReports;
  readonly inventory: Inventory;
  readonly revocation: Revocation;
  /** Tells what operators may do; absent, they may do nothing. */
  readonly operators?: OperatorAccess;
}

type Implementation = ServiceImplementation<typeof CertificateService>;
type Method<Name extends keyof Implementation> = (
  parts: CertificateServiceParts,
  ...call: Parameters<Implementation[Name]>
) => ReturnType<Implementation[Name]>;

/** The certificate service's side of our protocol. */
export function certificateService(parts: CertificateServiceParts): Implementation {
  return {
    issueCertificate: (...call) => issueCertificate(parts, ...call),
    renewCertificate: (...call) => renewCertificate(parts, ...call),
    revokeCertificate: (...call) => revokeCertificate(parts, ...call),
    getCertificateInfo: (...call) => getCertificateInfo(parts, ...call),
    listCertificates: (...call) => listCertificates(parts, ...call),
    reportCertificates: (...call) => reportCertificates(parts, ...call),
    watchTrustBundle: (...call) => watchTrustBundle(parts, ...call),
  };
}

const issueCertificate: Method<"issueCertificate"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  const request = validated("issue", caller, () => validateIssueRequest(message));
  return await issue(parts, caller, request, context.signal);
};

const renewCertificate: Method<"renewCertificate"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  const request = validated("renew", caller, () => validateIssueRequest(message));
  return await issue(parts, caller, request, context.signal);
};

const revokeCertificate: Method<"revokeCertificate"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  await authorize(parts, caller, "revoke", context.signal);
  const { target, reason } = validated("revoke", caller, () => validateRevokeRequest(message));
  const podUid = "podUid" in target
    ? target.podUid
    : requireEntry(parts.inventory.get(target.serialNumber), target.serialNumber).pod.uid;
  const { validUntil } = await parts.revocation.revoke(podUid);
  const serialNumber = "podUid" in target ? undefined : target.serialNumber;
  writeAuditEntry({ action: "revoke", outcome: "revoked", caller, podUid, serialNumber, reason });
  return { podUid, validUntil: timestamp(validUntil) };
};

const getCertificateInfo: Method<"getCertificateInfo"> = async (parts, message, context) => {
  const { serialNumber } = message;
  const caller = await authenticate(parts, context);
  const { mayRead } = await authorize(parts, caller, "get", context.signal);
  const entry = parts.inventory.get(
    validated("get", caller, () => validateSerialNumber(serialNumber)),
  );
  // An entry that the caller may not read is reported as one that does not exist.
  const visible = requireEntry(entry && mayRead(entry) ? entry : undefined, serialNumber);
  writeAuditEntry({ action: "get", outcome: "shown", caller, serialNumber });
  return { certificate: certificateInfo(visible, parts.revocation) };
};

const listCertificates: Method<"listCertificates"> = async function* (parts, message, context) {
  const caller = await authenticate(parts, context);
  const { mayRead } = await authorize(parts, caller, "list", context.signal);
  const { namespace, podUid } = validated("list", caller, () => validateListRequest(message));
  writeAuditEntry({ action: "list", outcome: "shown", caller, podUid });
  const { inventory, revocation } = parts;
  for (const entry of podUid === undefined ? inventory.all() : inventory.ofPod(podUid)) {
    if (namespace !== undefined && entry.pod.namespace !== namespace) continue;
    if (mayRead(entry)) yield certificateInfo(entry, revocation);
  }
};

const reportCertificates: Method<"reportCertificates"> = async (parts, message, context) => {
  const caller = await authenticate(parts, context);
  const reported = validated("report", caller, () => validateReportRequest(message));
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
  yield* trustBundles(parts.authority, context.signal);
};

async function issue(
  { issuing }: CertificateServiceParts,
  caller: Caller,
  request: IssueRequest,
  signal: AbortSignal,
) {
  const outcome = await issuing.issue(caller, request, signal);
  const { pod, volumeId, predecessor } = request;
  const action = predecessor === undefined ? "issue" : "renew";
  const told = { action, outcome: outcome.kind, caller, pod, volumeId, predecessor } as const;
  if (outcome.kind !== "issued") {
    writeAuditEntry({ ...told, reason: outcome.reason });
    throw requestFailureError(outcome);
  }
  const { serialNumber, names, notAfter } = outcome;
  writeAuditEntry({ ...told, serialNumber, names, notAfter });
  return {
    certificateChain: outcome.chain,
    trustBundle: { certificates: outcome.trustBundle },
  };
}

/** A request's fields, or the throw that says what is wrong with them: a decision like any other. */
function validated<T>(action: AuditEntry["action"], caller: Caller, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof RpcError) {
      writeAuditEntry({ action, outcome: "invalid", caller, reason: error.message });
    }
    throw error;
  }
}

/** Who calls; throws UNAUTHENTICATED or UNAVAILABLE. */
async function authenticate(
  { authenticator }: CertificateServiceParts,
  { metadata, peerCertificate, signal }: CallContext,
): Promise<Caller> {
  const [header] = metadata.get("authorization");
  const authorization = typeof header === "string" ? header : undefined;
  const answer = await authenticator.authenticate({ authorization, peerCertificate }, signal);
  if (answer.kind === "caller") return answer.caller;
  const { kind, problem: reason } = answer;
  writeAuditEntry({ action: "authenticate", outcome: kind, caller: undefined, reason });
  throw requestFailureError({ kind, reason });
}

/** What the caller may see; throws PERMISSION_DENIED or UNAVAILABLE. */
async function authorize(
  { operators }: CertificateServiceParts,
  caller: Caller,
  action: OperatorAction,
  signal: AbortSignal,
) {
  const access = await authorizeOperator(caller, action, operators, signal);
  if (access.kind === "allowed") return access;
  writeAuditEntry({ action, outcome: access.kind, caller, reason: access.reason });
  throw requestFailureError(access);
}

function requireEntry(entry: InventoryEntry | undefined, serialNumber: string): InventoryEntry {
  if (entry !== undefined) return entry;
  const reason = `no certificate with serial number ${serialNumber} is known; ` +
    "one that was signed before the service's start is known once its driver has reported it";
  throw requestFailureError({ kind: "unknown", reason });
}

/** The bundle now and after each change; of changes that come faster than they are read, the last. */
async function* trustBundles(authority: CurrentCa, signal: AbortSignal) {
  let changed = Promise.withResolvers<void>();
  const wake = () => changed.resolve();
  using _subscription = authority.onChange(wake);
  signal.addEventListener("abort", wake);
  try {
    for (;;) {
      signal.throwIfAborted();
      const { anchors } = authority;
      if (anchors.length > 0) yield { certificates: anchors.map(({ der }) => der) };
      await changed.promise;
      changed = Promise.withResolvers<void>();
    }
  } finally {
    signal.removeEventListener("abort", wake);
  }
}

function certificateInfo(
  entry: InventoryEntry,
  revocation: Revocation,
): MessageInitShape<typeof CertificateInfoSchema> {
  const { names, predecessor } = entry;
  const revokedAt = revocation.deniedSince(entry.pod.uid);
  return {
    serialNumber: entry.serialNumber,
    pod: { ...entry.pod },
    volumeId: entry.volumeId,
    commonName: names.commonName,
    dnsNames: names.dnsNames,
    ipAddresses: names.ipAddresses,
    uris: names.uris,
    notBefore: timestamp(entry.notBefore),
    notAfter: timestamp(entry.notAfter),
    predecessorSerialNumber: predecessor ?? "",
    ...(revokedAt === undefined ? {} : { revokedAt: timestamp(revokedAt) }),
  };
}

function timestamp(at: Temporal.Instant): Timestamp {
  return timestampFromMs(at.epochMilliseconds);
}
