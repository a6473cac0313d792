import type {
  CertificateInfo,
  ListCertificatesRequest,
} from "../../shared/gen/certificate_service_pb.ts";
import type { OwnCertificates } from "../peers/all_replicas.ts";
import { certificateInfo, type CertificateInfoParts, nodeInfo } from "./certificate_info.ts";
import { validateListRequest } from "./request_validation.ts";

/** This replica's part of the inventory, as messages. */
export function ownCertificates(parts: CertificateInfoParts): OwnCertificates {
  const { inventory } = parts;
  return {
    find(serialNumber: string): CertificateInfo | undefined {
      const entry = inventory.get(serialNumber) ?? inventory.successorOf(serialNumber);
      return entry && certificateInfo(entry, parts);
    },
    nodes: () => parts.nodes.all().map(nodeInfo),
    async *pages(filter: ListCertificatesRequest) {
      for await (const entries of inventory.pages(validateListRequest(filter))) {
        yield entries.map((entry) => certificateInfo(entry, parts));
      }
    },
  };
}
