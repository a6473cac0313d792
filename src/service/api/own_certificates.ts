import type {
  CertificateInfo,
  ListCertificatesRequest,
} from "../../shared/gen/certificate_service_pb.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { OwnCertificates } from "../peers/all_replicas.ts";
import type { Revocation } from "../revocation/revocation.ts";
import { certificateInfo } from "./certificate_info.ts";
import { validateListRequest } from "./request_validation.ts";

/** This replica's part of the inventory, as messages. */
export function ownCertificates(
  inventory: Inventory,
  revocation: Pick<Revocation, "deniedSince">,
): OwnCertificates {
  return {
    find(serialNumber: string): CertificateInfo | undefined {
      const entry = inventory.get(serialNumber) ?? inventory.successorOf(serialNumber);
      return entry && certificateInfo(entry, revocation);
    },
    async *pages(filter: ListCertificatesRequest) {
      for await (const entries of inventory.pages(validateListRequest(filter))) {
        yield entries.map((entry) => certificateInfo(entry, revocation));
      }
    },
  };
}
