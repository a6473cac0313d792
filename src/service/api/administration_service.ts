import { create } from "@bufbuild/protobuf";
import { type AuditEntry, writeAuditEntry } from "../access/audit_log.ts";
import type { Caller } from "../access/authenticator.ts";
import type { AllReplicas } from "../peers/all_replicas.ts";
import type { MissingReplica } from "../peers/peers.ts";
import type { NodeRevocation } from "../revocation/node_revocation.ts";
import type { PodClaim, PodConfirmation } from "../revocation/pod_confirmation.ts";
import type { Revocation } from "../revocation/revocation.ts";
import {
  type CertificateAdministration,
  type CertificateInfo,
  ListCertificatesRequestSchema,
} from "../../shared/gen/certificate_service_pb.ts";
import type { RpcError } from "../../shared/grpc/rpc_error.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { auditInvalidRequest } from "./audited_validation.ts";
import { timestamp } from "./certificate_info.ts";
import { nodePages } from "./node_pages.ts";
import { requestFailureError } from "./error_status.ts";
import {
  type RevocationTarget,
  validateListRequest,
  validateRevokeRequest,
  validateSerialNumber,
} from "./request_validation.ts";
import type { NamespacedName } from "../../shared/text/kubernetes_names.ts";
import { errorMessage } from "../../shared/text/error_message.ts";

/** The parts that the calls of administrators use. */
export interface AdministrationParts {
  readonly replicas: Pick<AllReplicas, "find" | "list" | "nodes">;
  readonly revocation: Revocation;
  readonly confirmation: PodConfirmation;
  /** Absent: nodes have no client certificates (AUTHENTICATION=none). */
  readonly nodeRevocation?: NodeRevocation | undefined;
}

type Implementation = ServiceImplementation<typeof CertificateAdministration>;

/** Every process that can open the socket; the API server's audit log states which user executed it. */
const caller: Caller = { kind: "administrator" };

const nothingRevoked = "nothing is revoked: ";

/** The service for administrators, on the local socket. */
export function administrationService(parts: AdministrationParts): Implementation {
  return {
    revokeCertificate: async (message, { signal }) => {
      const { target, reason } = auditInvalidRequest(
        "revoke",
        caller,
        () => validateRevokeRequest(message),
      );
      return "node" in target
        ? await revokeNode(parts, target.node, reason)
        : await revokePod(parts, target, reason, signal);
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
    listNodes: async function* () {
      writeAuditEntry({ action: "nodes", outcome: "shown", caller });
      const { nodes, missing } = await parts.replicas.nodes();
      yield* nodePages(nodes, {});
      if (missing.length > 0) yield { missingReplicas: [...missing] };
    },
  };
}

async function revokePod(
  parts: AdministrationParts,
  target: Exclude<RevocationTarget, { node: string }>,
  reason: string,
  signal: AbortSignal,
) {
  const serialNumber = "serialNumber" in target ? target.serialNumber : undefined;
  const { podUid, pod } = await findPod(parts, target, signal);
  const named = pod === undefined ? { podUid } : { pod: { ...pod, uid: podUid } };
  const revoke = () => parts.revocation.revoke(podUid, pod);
  const { validUntil } = await save({ ...named, serialNumber }, revoke);
  const entry = { action: "revoke", outcome: "revoked", caller, serialNumber, reason } as const;
  writeAuditEntry({ ...entry, ...named });
  return { podUid, validUntil: timestamp(validUntil), ...named };
}

/** The pod that the administrator means; its name where it is certain. */
async function findPod(
  parts: AdministrationParts,
  target: Exclude<RevocationTarget, { node: string }>,
  signal: AbortSignal,
): Promise<{ readonly podUid: string; readonly pod: NamespacedName | undefined }> {
  const { replicas, confirmation } = parts;
  if ("podUid" in target) {
    const { podUid } = target;
    const pod = await confirmation.nameOf(claimsOfReplicas(replicas, podUid), signal);
    return { podUid, pod };
  }
  const { serialNumber } = target;
  const { current, missing } = await replicas.find(serialNumber);
  if (current === undefined) throw unknown("revoke", serialNumber, missing);
  const found = await confirmation.ofCertificate(serialNumber, claimOf(current), signal);
  switch (found.kind) {
    case "confirmed":
      return found;
    case "unconfirmed":
      throw failed("revoke", "unknown", serialNumber, `${nothingRevoked}${found.reason}`);
    case "unavailable":
      throw failed("revoke", "unavailable", serialNumber, `${nothingRevoked}${found.reason}`);
  }
}

/** What all replicas state of the pod with a uid. */
async function* claimsOfReplicas(
  replicas: AdministrationParts["replicas"],
  podUid: string,
): AsyncGenerator<PodClaim> {
  const { pages } = await replicas.list(create(ListCertificatesRequestSchema, { podUid }));
  for await (const page of pages) yield* page.map(claimOf);
}

function claimOf({ pod, reported, node, dnsNames }: CertificateInfo): PodClaim {
  const { namespace = "", name = "", uid = "" } = pod ?? {};
  return { pod: { namespace, name, uid }, isReported: reported, node, dnsNames };
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
    const reason = `${nothingRevoked}${errorMessage(error)}`;
    writeAuditEntry({ action: "revoke", outcome: "unavailable", caller, ...target, reason });
    throw requestFailureError({ kind: "unavailable", reason });
  }
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
