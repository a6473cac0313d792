import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CertificateInfo,
  CertificateInfoSchema,
  CertificateState,
  type NodeInfo,
  NodeInfoSchema,
} from "../../shared/gen/certificate_service_pb.ts";
import { certificateState } from "../inventory/certificate_state.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { StoredEntry } from "../inventory/inventory_entry.ts";
import type { NodeReports, NodeStatus } from "../inventory/node_reports.ts";
import type { Clock } from "../../shared/scheduler/clock.ts";
import type { Revocation } from "../revocation/revocation.ts";

/** What an entry's message is made of. */
export interface CertificateInfoParts {
  readonly inventory: Inventory;
  readonly nodes: NodeReports;
  readonly revocation: Pick<Revocation, "deniedSince">;
  readonly clock: Clock;
}

const stateNumbers = {
  current: CertificateState.CURRENT,
  overdue: CertificateState.OVERDUE,
  expired: CertificateState.EXPIRED,
  released: CertificateState.RELEASED,
};

/** The message of an entry of the inventory. */
export function certificateInfo(
  entry: StoredEntry,
  { revocation, nodes, clock }: Omit<CertificateInfoParts, "inventory">,
): CertificateInfo {
  const { names, predecessor } = entry;
  const nodeSilent = nodes.isSilent(entry.node);
  const state = certificateState(entry, nodeSilent, clock.now().epochMilliseconds);
  const revokedAt = revocation.deniedSince(entry.pod.uid);
  return create(CertificateInfoSchema, {
    serialNumber: entry.serialNumber,
    pod: { ...entry.pod },
    volumeId: entry.volumeId,
    commonName: names.commonName,
    dnsNames: names.dnsNames,
    ipAddresses: names.ipAddresses,
    uris: names.uris,
    notBefore: timestampFromMs(entry.notBeforeMs),
    notAfter: timestampFromMs(entry.notAfterMs),
    predecessorSerialNumber: predecessor ?? "",
    node: entry.node ?? "",
    reported: entry.origin === "reported",
    state: stateNumbers[state],
    nodeSilent,
    ...(revokedAt === undefined ? {} : { revokedAt: timestamp(revokedAt) }),
  });
}

/** The message of a node's last report. */
export function nodeInfo(node: NodeStatus): NodeInfo {
  const { name, reportedAt, isSilent, driverVersion, clockSkewMs, volumes } = node;
  return create(NodeInfoSchema, {
    name,
    lastReportAt: timestamp(reportedAt),
    silent: isSilent,
    driverVersion: driverVersion ?? "",
    ...(clockSkewMs === undefined ? {} : { clockSkewMs: BigInt(clockSkewMs) }),
    ...(volumes === undefined ? {} : { volumes }),
  });
}

/** An instant as a message. */
export function timestamp(at: Temporal.Instant): Timestamp {
  return timestampFromMs(at.epochMilliseconds);
}
