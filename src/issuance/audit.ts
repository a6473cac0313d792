import { getLogger } from "@logtape/logtape";
import type { Caller, PodIdentity } from "../authority/ports.ts";
import type { LeafNames } from "../x509/leaf.ts";

const logger = getLogger(["cert-service", "audit"]);

/** One decision of the service. Nothing in it is secret. */
export interface AuditEntry {
  readonly action: "issue" | "renew" | "revoke" | "report" | "list" | "get" | "authenticate";
  readonly outcome: string;
  /** Undefined where it is not known who calls. */
  readonly caller: Caller | undefined;
  readonly pod?: PodIdentity | undefined;
  readonly podUid?: string | undefined;
  readonly volumeId?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly predecessor?: string | undefined;
  readonly names?: LeafNames | undefined;
  readonly notAfter?: Temporal.Instant | undefined;
  readonly accepted?: number | undefined;
  readonly refused?: number | undefined;
  /** Why it was refused, or what an operator gave as the reason. */
  readonly reason?: string | undefined;
}

/** Writes the one line that tells a decision; what is undefined is left out. */
export function audit(entry: AuditEntry): void {
  const { caller, pod, names, notAfter, ...plain } = entry;
  const told = {
    ...plain,
    caller: callerText(caller),
    ...(caller?.kind === "node" ? { node: caller.node, ...credentialsOf(caller) } : {}),
    podUid: pod?.uid ?? entry.podUid,
    namespace: pod?.namespace,
    podName: pod?.name,
    serviceAccount: pod?.serviceAccount,
    ...(names ?? {}),
    notAfter: notAfter?.toString(),
  };
  logger.info(template(told), told);
}

type Told = Pick<AuditEntry, "podUid" | "serialNumber" | "accepted" | "reason"> & {
  readonly podName: string | undefined;
};

function template(told: Told): string {
  let text = "{action} {outcome} for {caller}";
  if (told.podName !== undefined) text += ": pod {namespace}/{podName} ({podUid})";
  else if (told.podUid !== undefined) text += ": pod {podUid}";
  if (told.serialNumber !== undefined) text += ", serial number {serialNumber}";
  if (told.accepted !== undefined) text += ": {accepted} accepted, {refused} refused";
  if (told.reason !== undefined) text += ": {reason}";
  return text;
}

/** Whose token spoke for the node. */
function credentialsOf({ serviceAccount, podUid, tokenId }: Caller & { kind: "node" }) {
  return { callerServiceAccount: serviceAccount, callerPodUid: podUid, tokenId };
}

function callerText(caller: Caller | undefined): string {
  if (caller === undefined) return "a stranger";
  switch (caller.kind) {
    case "node":
      return `node ${caller.node}`;
    case "operator":
      return `operator ${caller.name}`;
    case "anonymous":
      return "anybody";
    default:
      return caller satisfies never;
  }
}
