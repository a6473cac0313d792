import { writeAuditEntry } from "../access/audit_log.ts";
import type { Authenticator, DriverCaller, NetworkCaller } from "../access/authenticator.ts";
import type { CallContext } from "../../shared/grpc/service_definition.ts";
import { requestFailureError } from "./error_status.ts";

/** Returns the driver that calls. Another result is written to the audit log and thrown. */
export async function authenticateDriver(
  authenticator: Authenticator,
  context: CallContext,
): Promise<DriverCaller> {
  const caller = await authenticate(authenticator, context);
  if (caller.kind !== "replica") return caller;
  throw refused(caller, "a replica of the service calls no method of drivers");
}

/** Accepts another replica of the service only. Another caller is written to the audit log and thrown. */
export async function requireReplica(
  authenticator: Authenticator,
  context: CallContext,
): Promise<void> {
  const caller = await authenticate(authenticator, context);
  if (caller.kind !== "replica") {
    throw refused(caller, "only a replica of the service may call this method");
  }
}

async function authenticate(
  authenticator: Authenticator,
  { peerCertificate }: CallContext,
): Promise<NetworkCaller> {
  const answer = await authenticator.authenticate({ peerCertificate });
  if (answer.kind === "caller") return answer.caller;
  const { kind: outcome, reason } = answer;
  writeAuditEntry({ action: "authenticate", outcome, caller: undefined, reason });
  throw requestFailureError(answer);
}

function refused(caller: NetworkCaller, reason: string) {
  writeAuditEntry({ action: "authenticate", outcome: "denied", caller, reason });
  return requestFailureError({ kind: "denied", reason });
}
