import { type AuditEntry, writeAuditEntry } from "../access/audit_log.ts";
import type { Caller } from "../access/authenticator.ts";
import type { AllReplicas } from "../peers/all_replicas.ts";
import type { MissingReplica } from "../peers/peers.ts";
import type { NodeRevocation } from "../revocation/node_revocation.ts";
import type { Revocation } from "../revocation/revocation.ts";
import type {
  CertificateAdministration,
  CertificateInfo,
} from "../../shared/gen/certificate_service_pb.ts";
import type { RpcError } from "../../shared/grpc/rpc_error.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { auditInvalidRequest } from "./audited_validation.ts";
import { timestamp } from "./certificate_info.ts";
import { requestFailureError } from "./error_status.ts";
import {
  type RevocationTarget,
  validateListRequest,
  validateRevokeRequest,
  validateSerialNumber,
} from "./request_validation.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

/** The parts that the calls of administrators use. */
export interface AdministrationParts {
  readonly replicas: Pick<AllReplicas, "find" | "list">;
  readonly revocation: Revocation;
  /** Absent: nodes have no client certificates (AUTHENTICATION=none). */
  readonly nodeRevocation?: NodeRevocation | undefined;
}

type Implementation = ServiceImplementation<typeof CertificateAdministration>;

/** Every process that can open the socket; the API server's audit log states which user executed it. */
const caller: Caller = { kind: "administrator" };

/** The service for administrators, on the local socket. */
export function administrationService(parts: AdministrationParts): Implementation {
  return {
    revokeCertificate: async (message) => {
      const { target, reason } = auditInvalidRequest(
        "revoke",
        caller,
        () => validateRevokeRequest(message),
      );
      return "node" in target
        ? await revokeNode(parts, target.node, reason)
        : await revokePod(parts, target, reason);
    },
    getCertificateInfo: async (message) => {
      const serialNumber = auditInvalidRequest(
        "get",
        caller,
        () => validateSerialNumber(message.serialNumber),
      );
      const { certificate, missing } = await requireCurrent(parts, serialNumber);
      writeAuditEntry({ action: "get", outcome: "shown", caller, serialNumber });
      return { certificate, missingReplicas: [...missing] };
    },
    listCertificates: async function* (message) {
      const filter = auditInvalidRequest("list", caller, () => validateListRequest(message));
      writeAuditEntry({ action: "list", outcome: "shown", caller, podUid: filter.podUid });
      const { pages, missing } = await parts.replicas.list(message);
      for await (const certificates of pages) yield { certificates: [...certificates] };
      if (missing.length > 0) yield { missingReplicas: [...missing] };
    },
  };
}

async function revokePod(
  parts: AdministrationParts,
  target: Exclude<RevocationTarget, { node: string }>,
  reason: string,
) {
  const serialNumber = "serialNumber" in target ? target.serialNumber : undefined;
  const podUid = "podUid" in target ? target.podUid : await podOf(parts, target.serialNumber);
  const revoke = () => parts.revocation.revoke(podUid);
  const { validUntil } = await save({ podUid, serialNumber }, revoke);
  writeAuditEntry({ action: "revoke", outcome: "revoked", caller, podUid, serialNumber, reason });
  return { podUid, validUntil: timestamp(validUntil) };
}

async function revokeNode(
  { nodeRevocation }: AdministrationParts,
  revokedNode: string,
  reason: string,
) {
  if (nodeRevocation === undefined) {
    const reason = "node_name: with AUTHENTICATION=none nodes have no certificates to revoke";
    writeAuditEntry({ action: "revoke", outcome: "invalid", caller, revokedNode, reason });
    throw requestFailureError({ kind: "invalid", reason });
  }
  await save({ revokedNode }, () => nodeRevocation.revoke(revokedNode));
  writeAuditEntry({ action: "revoke", outcome: "revoked", caller, revokedNode, reason });
  return {};
}

/** Runs a revocation. One that cannot be stored has no effect, and is reported as unavailable. */
async function save<T>(target: Partial<AuditEntry>, revoke: () => Promise<T>): Promise<T> {
  try {
    return await revoke();
  } catch (error) {
    const reason = `nothing is revoked: ${errorMessage(error)}`;
    writeAuditEntry({ action: "revoke", outcome: "unavailable", caller, ...target, reason });
    throw requestFailureError({ kind: "unavailable", reason });
  }
}

/** The uid of a certificate's pod, also when the certificate was renewed and is not listed any more. */
async function podOf(parts: AdministrationParts, serialNumber: string): Promise<string> {
  const { current, missing } = await parts.replicas.find(serialNumber);
  if (current === undefined) throw unknown("revoke", serialNumber, missing);
  return current.pod?.uid ?? "";
}

/** The certificate, which is the current one of its volume. */
async function requireCurrent(
  { replicas }: AdministrationParts,
  serialNumber: string,
): Promise<{ certificate: CertificateInfo; missing: readonly MissingReplica[] }> {
  const { current, missing } = await replicas.find(serialNumber);
  if (current === undefined) throw unknown("get", serialNumber, missing);
  if (current.serialNumber === serialNumber) return { certificate: current, missing };
  const reason = `certificate ${serialNumber} was renewed; the current certificate of its volume ` +
    `has serial number ${current.serialNumber}`;
  throw failed("get", "unknown", serialNumber, reason);
}

function unknown(
  action: "get" | "revoke",
  serialNumber: string,
  missing: readonly MissingReplica[],
): RpcError {
  const asked = `no replica that answered has a certificate with serial number ${serialNumber}`;
  if (missing.length > 0) {
    const others = missing.map(({ address, reason }) => `${address} (${reason})`).join(", ");
    return failed(action, "unavailable", serialNumber, `${asked}; these did not answer: ${others}`);
  }
  const restarted = "a restarted one has it again when its driver has reported it";
  return failed(action, "unknown", serialNumber, `${asked}; ${restarted}`);
}

function failed(
  action: "get" | "revoke",
  kind: "unknown" | "unavailable",
  serialNumber: string,
  reason: string,
): RpcError {
  writeAuditEntry({ action, outcome: kind, caller, serialNumber, reason });
  return requestFailureError({ kind, reason });
}
