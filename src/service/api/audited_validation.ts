import { type AuditEntry, writeAuditEntry } from "../access/audit_log.ts";
import type { Caller } from "../access/authenticator.ts";
import { RpcError } from "../../shared/grpc/rpc_error.ts";

/** Returns what `validate` returns. A request that it rejects is written to the audit log first. */
export function auditInvalidRequest<T>(
  action: AuditEntry["action"],
  caller: Caller,
  validate: () => T,
): T {
  try {
    return validate();
  } catch (error) {
    if (error instanceof RpcError) {
      writeAuditEntry({ action, outcome: "invalid", caller, reason: error.message });
    }
    throw error;
  }
}
