import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { type AuditEntry, writeAuditEntry } from "../access/audit_log.ts";
import type { Caller } from "../access/authenticator.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { InventoryEntry } from "../inventory/inventory_entry.ts";
import type { NodeRevocation } from "../revocation/node_revocation.ts";
import type { Revocation } from "../revocation/revocation.ts";
import type {
  CertificateAdministration,
  CertificateInfoSchema,
} from "../../shared/gen/certificate_service_pb.ts";
import type { ServiceImplementation } from "../../shared/grpc/service_definition.ts";
import { auditInvalidRequest } from "./audited_validation.ts";
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
  readonly inventory: Inventory;
  readonly revocation: Revocation;
  /** Absent: nodes have no client certificates (AUTHENTICATION=none). */
  readonly nodeRevocation?: NodeRevocation | undefined;
}

type CertificateInfoInit = MessageInitShape<typeof CertificateInfoSchema>;
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
    getCertificateInfo: (message) => {
      const serialNumber = auditInvalidRequest(
        "get",
        caller,
        () => validateSerialNumber(message.serialNumber),
      );
      const entry = requireEntry(parts.inventory, serialNumber, "get");
      writeAuditEntry({ action: "get", outcome: "shown", caller, serialNumber });
      return Promise.resolve({ certificate: certificateInfo(entry, parts.revocation) });
    },
    listCertificates: async function* (message) {
      const filter = auditInvalidRequest("list", caller, () => validateListRequest(message));
      writeAuditEntry({ action: "list", outcome: "shown", caller, podUid: filter.podUid });
      const { inventory, revocation } = parts;
      for await (const entries of inventory.pages(filter)) {
        yield { certificates: entries.map((entry) => certificateInfo(entry, revocation)) };
      }
    },
  };
}

async function revokePod(
  { inventory, revocation }: AdministrationParts,
  target: Exclude<RevocationTarget, { node: string }>,
  reason: string,
) {
  const serialNumber = "serialNumber" in target ? target.serialNumber : undefined;
  const podUid = "podUid" in target ? target.podUid : podOf(inventory, target.serialNumber);
  const { validUntil } = await save({ podUid, serialNumber }, () => revocation.revoke(podUid));
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

/** The pod of a certificate, also when the certificate was renewed and is not listed any more. */
function podOf(inventory: Inventory, serialNumber: string): string {
  const successor = inventory.successorOf(serialNumber);
  return (successor ?? requireEntry(inventory, serialNumber, "revoke")).pod.uid;
}

function requireEntry(
  inventory: Inventory,
  serialNumber: string,
  action: "get" | "revoke",
): InventoryEntry {
  const entry = inventory.get(serialNumber);
  if (entry !== undefined) return entry;
  const successor = inventory.successorOf(serialNumber);
  const reason = successor
    ? `certificate ${serialNumber} was renewed; the current certificate of its volume has serial ` +
      `number ${successor.serialNumber}`
    : `this replica has no certificate with serial number ${serialNumber}: ask the ` +
      "other replica; a restarted one has it again when its driver has reported it";
  writeAuditEntry({ action, outcome: "unknown", caller, serialNumber, reason });
  throw requestFailureError({ kind: "unknown", reason });
}

function certificateInfo(
  entry: InventoryEntry,
  revocation: Revocation,
): CertificateInfoInit {
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
    node: entry.node ?? "",
    ...(revokedAt === undefined ? {} : { revokedAt: timestamp(revokedAt) }),
  };
}

function timestamp(at: Temporal.Instant): Timestamp {
  return timestampFromMs(at.epochMilliseconds);
}
