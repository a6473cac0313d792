import { create } from "@bufbuild/protobuf";
import { type Timestamp, timestampFromMs } from "@bufbuild/protobuf/wkt";
import {
  type CertificateInfo,
  CertificateInfoSchema,
} from "../../shared/gen/certificate_service_pb.ts";
import type { InventoryEntry } from "../inventory/inventory_entry.ts";
import type { Revocation } from "../revocation/revocation.ts";

/** The message of an entry of the inventory. */
export function certificateInfo(
  entry: InventoryEntry,
  revocation: Pick<Revocation, "deniedSince">,
): CertificateInfo {
  const { names, predecessor } = entry;
  const revokedAt = revocation.deniedSince(entry.pod.uid);
  return create(CertificateInfoSchema, {
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
    reported: entry.origin === "reported",
    ...(revokedAt === undefined ? {} : { revokedAt: timestamp(revokedAt) }),
  });
}

/** An instant as a message. */
export function timestamp(at: Temporal.Instant): Timestamp {
  return timestampFromMs(at.epochMilliseconds);
}
