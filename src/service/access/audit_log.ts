import { getLogger, type LogRecord } from "@logtape/logtape";
import type { Caller } from "./authenticator.ts";
import type { PodIdentity } from "../../shared/attributes/pod_identity.ts";
import { maxReasonCharacters, truncate } from "../../shared/text/printable_text.ts";
import type { CertificateNames } from "../x509/certificate_names.ts";

const logger = getLogger(["cert-service", "audit"]);

/** One decision of the service. Nothing in it is secret. */
export interface AuditEntry {
  readonly action:
    | "attest"
    | "issue"
    | "renew"
    | "revoke"
    | "report"
    | "list"
    | "get"
    | "authenticate";
  readonly outcome: string;
  /** Undefined where it is not known who calls. */
  readonly caller: Caller | undefined;
  readonly pod?: PodIdentity | undefined;
  readonly podUid?: string | undefined;
  /** The node whose client certificates are rejected from now on. */
  readonly revokedNode?: string | undefined;
  readonly volumeId?: string | undefined;
  readonly serialNumber?: string | undefined;
  readonly predecessor?: string | undefined;
  readonly names?: CertificateNames | undefined;
  readonly notAfter?: Temporal.Instant | undefined;
  readonly accepted?: number | undefined;
  readonly refused?: number | undefined;
  /** Why it was refused, or what the administrator gave as the reason; a long one is cut. */
  readonly reason?: string | undefined;
}

/** Writes the one line of a decision; undefined properties are left out. */
export function writeAuditEntry(entry: AuditEntry): void {
  const properties = propertiesOf(entry);
  const rawMessage = template(properties);
  // As a record, because logger.info() parses the same template each time and copies the properties:
  // half of the cost of a line.
  const record: LogRecord = {
    category: logger.category,
    level: "info",
    timestamp: Date.now(),
    rawMessage,
    message: messageOf(rawMessage, properties),
    properties,
  };
  logger.emit(record);
}

type AuditProperties = Record<
  | Exclude<keyof AuditEntry, "pod" | "names">
  | keyof CertificateNames
  | ("node" | "callerServiceAccount" | "callerPodUid" | "tokenId")
  | ("namespace" | "podName" | "serviceAccount"),
  unknown
>;

/**
 * In the order of the line. Written out, because objects that are composed of others are slow to
 * make and to read.
 */
function propertiesOf(entry: AuditEntry): AuditProperties {
  const { caller, pod, names } = entry;
  const node = caller?.kind === "node" ? caller : undefined;
  return {
    action: entry.action,
    outcome: entry.outcome,
    // First in the line when nothing else is known of the pod.
    ...(entry.podUid === undefined ? {} : { podUid: entry.podUid }),
    revokedNode: entry.revokedNode,
    volumeId: entry.volumeId,
    predecessor: entry.predecessor,
    serialNumber: entry.serialNumber,
    accepted: entry.accepted,
    refused: entry.refused,
    reason: entry.reason && truncate(entry.reason, maxReasonCharacters),
    caller: callerText(caller),
    node: node?.node,
    // The token with which the node was attested.
    callerServiceAccount: node?.serviceAccount,
    callerPodUid: node?.podUid,
    tokenId: node?.tokenId,
    podUid: pod?.uid ?? entry.podUid,
    namespace: pod?.namespace,
    podName: pod?.name,
    serviceAccount: pod?.serviceAccount,
    commonName: names?.commonName,
    organizationalUnits: names?.organizationalUnits,
    dnsNames: names?.dnsNames,
    ipAddresses: names?.ipAddresses,
    uris: names?.uris,
    notAfter: entry.notAfter && textOf(entry.notAfter),
  };
}

let lastText: { readonly instant: Temporal.Instant; readonly text: string } | undefined;

/** Certificates of one second mostly end at one instant, whose text costs more than all else here. */
function textOf(instant: Temporal.Instant): string {
  if (!lastText?.instant.equals(instant)) lastText = { instant, text: instant.toString() };
  return lastText.text;
}

function template(properties: AuditProperties): string {
  let text = "{action} {outcome} for {caller}";
  if (properties.podName !== undefined) text += ": pod {namespace}/{podName} ({podUid})";
  else if (properties.podUid !== undefined) text += ": pod {podUid}";
  else if (properties.revokedNode !== undefined) text += ": node {revokedNode}";
  if (properties.serialNumber !== undefined) text += ", serial number {serialNumber}";
  if (properties.accepted !== undefined) text += ": {accepted} accepted, {refused} refused";
  if (properties.reason !== undefined) text += ": {reason}";
  return text;
}

/** Texts and names of each template, alternating; there are few templates. */
const partsOf = new Map<string, readonly string[]>();

/** The message in LogTape's form: texts and values alternate. */
function messageOf(template: string, properties: AuditProperties): unknown[] {
  let parts = partsOf.get(template);
  if (parts === undefined) {
    parts = template.split(/\{(\w+)\}/);
    partsOf.set(template, parts);
  }
  return parts.map((part, index) =>
    index % 2 === 0 ? part : properties[part as keyof AuditProperties]
  );
}

function callerText(caller: Caller | undefined): string {
  if (caller === undefined) return "a stranger";
  switch (caller.kind) {
    case "node":
      return `node ${caller.node}`;
    case "administrator":
      return "local administrator";
    case "anonymous":
      return "anybody";
    default:
      return caller satisfies never;
  }
}
